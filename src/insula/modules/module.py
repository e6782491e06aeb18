"""A module: a business capability with its messages, its handlers and its own database."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from insula.messages import Event, kind_of
from insula.modules.declaration import (
    AsgiApplication,
    BindingDeclaration,
    Declaration,
    HandlerDeclaration,
    HandlerKind,
    MountDeclaration,
    Place,
    RouteDeclaration,
)
from insula.modules.decorators import Answerable, HandlerDecorator, ScheduleDecorator
from insula.modules.paths import check_path
from insula.modules.signature import check_message_kind, check_signature, read_ports

if TYPE_CHECKING:
    from sqlalchemy import MetaData

E = TypeVar("E", bound=Event)
M = TypeVar("M")
R = TypeVar("R")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class Module:
    """A business capability. It only records what is declared on it; the runtime and the tools interpret that.

    Parameters: `name`, lower-case letters, digits, "-" and "_"; `tables`, the metadata of the module's own tables;
    `slices`, a package whose modules declare handlers, imported when the system is assembled; `migrations`, a folder of
    numbered files, beside the file that makes the module unless the path is absolute; `contract`, the one Python module
    that other modules may import.
    Raises TypeError for a name that cannot be a file, a role and a path.
    """

    def __init__(
        self,
        name: str,
        *,
        tables: MetaData | None = None,
        slices: str | None = None,
        migrations: Path | str | None = None,
        contract: str | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise TypeError(f"Module({name!r}): a name is lower-case letters, digits, - and _, at most 63")
        self.name = name
        self.slices = slices
        self.contract = contract
        self.place = Place.of_frame(sys._getframe(1), f"module {name!r}")
        # Not beside the folder in which the process happens to be started.
        self.migrations = None if migrations is None else Path(self.place.file).absolute().parent / migrations
        self._tables = tables
        self._declarations: list[Declaration] = []

    @property
    def tables(self) -> MetaData:
        """The metadata of the module's own tables; empty unless given or filled."""
        if self._tables is None:
            from sqlalchemy import MetaData  # a module without tables does not load it

            self._tables = MetaData()
        return self._tables

    @property
    def table_names(self) -> frozenset[str]:
        """The names of the module's own tables."""
        return frozenset(self._tables.tables) if self._tables is not None else frozenset()

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        """All that was declared on the module so far, in order."""
        return tuple(self._declarations)

    def record(self, declaration: Declaration) -> None:
        """Add a declaration."""
        self._declarations.append(declaration)

    def handle(self, message: Answerable[M, R]) -> HandlerDecorator[M, R]:
        """Declare the handler of a command or query: it takes the message, then ports by type, and returns its R.

        Raises TypeError at import, with function, place, expected and found type, when it does not.
        """
        check_message_kind(message, ("command", "query"), "handle")
        return HandlerDecorator(self._handler_recorder(message, {}))

    def on(
        self, event: type[E], *, attempts: int | None = None, renamed_from: str | None = None
    ) -> HandlerDecorator[E, None]:
        """Declare a handler of an event: it takes the event, then ports by type, and returns None.

        Parameters: `attempts` before the message's key is parked, default as configured; `renamed_from`, the earlier
        "module.function" of this consumer, so that it goes on where that one stopped. One function for two events is
        declared after it is written: `module.on(First)(function)`, `module.on(Second)(function)`.
        Raises TypeError as `handle` does.
        """
        check_message_kind(event, ("event",), "on")
        if attempts is not None and attempts < 1:
            raise TypeError(f"{self.name}: on({event.__name__}, attempts={attempts}) must be at least 1")
        return HandlerDecorator(self._handler_recorder(event, {"attempts": attempts, "renamed_from": renamed_from}))

    def every(self, schedule: str, *, timezone: str = "UTC") -> ScheduleDecorator:
        """Declare a function that runs on a schedule: it takes ports only and returns None.

        Parameters: `schedule`, five cron fields, such as "0 3 * * *"; `timezone`, an IANA name, default UTC.
        """
        return ScheduleDecorator(self._handler_recorder(None, {"schedule": schedule, "timezone": timezone}))

    def get(self, path: str, *, status: int = 200) -> Callable[[F], F]:
        """Declare `GET path` onto the query that the function handles."""
        return self._route("GET", path, status)

    def post(self, path: str, *, status: int = 200) -> Callable[[F], F]:
        """Declare `POST path` onto the message that the function handles."""
        return self._route("POST", path, status)

    def put(self, path: str, *, status: int = 200) -> Callable[[F], F]:
        """Declare `PUT path` onto the message that the function handles."""
        return self._route("PUT", path, status)

    def patch(self, path: str, *, status: int = 200) -> Callable[[F], F]:
        """Declare `PATCH path` onto the message that the function handles."""
        return self._route("PATCH", path, status)

    def delete(self, path: str, *, status: int = 200) -> Callable[[F], F]:
        """Declare `DELETE path` onto the message that the function handles."""
        return self._route("DELETE", path, status)

    def bind(self, port: Callable[..., T], factory: Callable[..., T]) -> None:
        """Bind a Protocol of the module's own to what makes it; handlers ask for it by type.

        Parameters: `factory`, a class or function that needs no arguments.
        Raises TypeError when it needs some, or is a class without a method that the Protocol has.
        """
        place = Place.of_frame(sys._getframe(1), f"bind({getattr(port, '__name__', port)})")
        if not isinstance(port, type):
            raise TypeError(f"{place}: {port!r} is no class; bind a Protocol or a class")
        if missing := _missing_members(port, factory):
            raise TypeError(f"{place}: {getattr(factory, '__name__', factory)} has no {', '.join(missing)}")
        if needed := _needed_arguments(factory):
            raise TypeError(f"{place}: the factory needs {', '.join(needed)}; bind a function that gives them")
        self.record(BindingDeclaration(port, factory, place))

    def mount(self, path: str, application: AsgiApplication) -> None:
        """Serve an existing ASGI application under a path, as the module's face."""
        place = Place.of_frame(sys._getframe(1), f"mount({path!r})")
        check_path(path, place)
        self.record(MountDeclaration(path.rstrip("/"), application, place))

    def __repr__(self) -> str:
        return f"Module({self.name!r})"

    def _handler_recorder(self, message: Any, options: dict[str, Any]) -> Callable[[Callable[..., Any]], None]:
        def record(function: Callable[..., Any]) -> None:
            names = sys._getframe(2).f_locals  # of the code that the decorator stands in: classes made in a function
            ports = read_ports(function, takes_message=message is not None, names=names)
            is_checked = check_signature(function, message, names)
            kind: HandlerKind = "schedule" if message is None else kind_of(message)
            self.record(
                HandlerDeclaration(
                    kind=kind,
                    message=message,
                    function=function,
                    name=f"{self.name}.{function.__name__}",
                    is_async=inspect.iscoroutinefunction(function),
                    ports=ports,
                    place=Place.of_function(function),
                    is_checked=is_checked,
                    **options,
                )
            )

        return record

    def _route(self, method: str, path: str, status: int) -> Callable[[F], F]:
        place = Place.of_frame(sys._getframe(2), f"{method} {path}")
        check_path(path, place)
        if not 200 <= status <= 299:
            raise TypeError(f"{place}: status={status} is no success; refusals are Rejections")

        def record(function: F) -> F:
            self.record(RouteDeclaration(method, path, status, function, place))
            return function

        return record


def _missing_members(port: type, factory: Any) -> list[str]:
    """The methods of a Protocol that the class does not have; nothing where `factory` is no class."""
    if not (isinstance(factory, type) and getattr(port, "_is_protocol", False)):
        return []
    names: set[str] = set()
    for ancestor in port.__mro__:
        if getattr(ancestor, "_is_protocol", False) and ancestor is not Protocol:
            names |= {name for name, value in vars(ancestor).items() if isinstance(value, (FunctionType, property))}
    return sorted(name for name in names - {"__init__", "__subclasshook__"} if not hasattr(factory, name))


def _needed_arguments(factory: Any) -> list[str]:
    if not (inspect.isclass(factory) or inspect.isroutine(factory)):
        return []
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some classes written in C tell nothing
        return []
    varied = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in varied]
