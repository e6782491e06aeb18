"""What is wrong with a system before it runs; each check appends what it finds, naming the places."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from insula.kernel.cron import next_fire
from insula.kernel.errors import ConfigurationError
from insula.messages.immutability import shown
from insula.messages.message import MessageMeta
from insula.modules.declaration import (
    BindingDeclaration,
    HandlerDeclaration,
    MountDeclaration,
    Place,
    RouteDeclaration,
)
from insula.modules.module import Module
from insula.modules.paths import shape

T = TypeVar("T")
Key = TypeVar("Key", bound=Hashable)

# Whether an expression is one does not depend on the moment.
_ANY_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)

Owned = tuple[Module, HandlerDeclaration]
Served = tuple[Module, RouteDeclaration, HandlerDeclaration]


def twins(items: Iterable[T], key: Callable[[T], Key]) -> list[tuple[Key, T, T]]:
    """Each item whose key another had before: the key, the first and the later one."""
    first: dict[Key, T] = {}
    found = []
    for item in items:
        earlier = first.setdefault(key(item), item)
        if earlier is not item:
            found.append((key(item), earlier, item))
    return found


def check_modules(modules: Iterable[Module], problems: list[str]) -> None:
    """Two modules with one name, or owning one table."""
    modules = tuple(modules)
    for name, first, later in twins(modules, lambda module: module.name):
        problems.append(f"two modules are called {name!r}: {first.place} and {later.place}; rename one")
    tables = [(name, module) for module in modules for name in sorted(module.table_names)]
    for name, (_, owner), (_, other) in twins(tables, lambda item: item[0]):
        problems.append(
            f"table {name!r} is owned by two modules: {owner.place} and {other.place}; "
            "keep it in one, and let the other ask or listen to events"
        )


def check_handlers(handlers: Iterable[Owned], problems: list[str]) -> None:
    """Two handlers for one command or query, one consumer's name twice, a schedule that is no cron expression."""
    declarations = [declaration for _, declaration in handlers]
    answering = [declaration for declaration in declarations if declaration.kind in ("command", "query")]
    for message, first, later in twins(answering, lambda handler: handler.message):
        problems.append(f"two handlers for {shown(message)}: {first.place} and {later.place}; keep one")
    for name, first, later in twins(declarations, lambda handler: handler.name):
        if first.function is not later.function:
            problems.append(f"two handlers are called {name!r}: {first.place} and {later.place}; rename one function")
    _check_inboxes(declarations, problems)
    listening = [declaration for declaration in declarations if declaration.kind in ("event", "schedule")]
    for (_, message), first, later in twins(listening, lambda handler: (handler.name, handler.message)):
        if first.function is later.function:
            what = shown(message) if message is not None else "a schedule"
            problems.append(f"{first.place} is declared twice for {what}; once is enough")
    names = {declaration.name: declaration for declaration in declarations}
    for declaration in declarations:
        if (living := names.get(declaration.renamed_from or "")) is not None:
            problems.append(
                f"{declaration.place}: renamed_from={living.name!r}, but {living.place} still has that name"
            )
        if declaration.schedule is not None:
            try:
                next_fire(declaration.schedule, _ANY_MOMENT, declaration.timezone)
            except ConfigurationError as error:
                problems.append(f"{declaration.place}: {error}")


def _check_inboxes(declarations: Iterable[HandlerDeclaration], problems: list[str]) -> None:
    """A command named like the function of another consumer: marks and parked messages of both would be mixed up."""
    consuming = [declaration for declaration in declarations if declaration.kind != "query"]
    for name, first, later in twins(consuming, lambda handler: handler.consumer):
        if first.name != later.name and (first.kind == "command") != (later.kind == "command"):
            problems.append(
                f"{first.place} and {later.place} would share the inbox {name!r}: one handles the command of that "
                "name, the other is called so; rename that function"
            )


def check_ports(
    handlers: Iterable[Owned],
    bindings: Mapping[Module, Mapping[Any, BindingDeclaration]],
    framework_ports: frozenset[Any],
    awaited_ports: frozenset[Any],
    blocking_ports: frozenset[Any],
    problems: list[str],
) -> None:
    """A port that nobody provides, or one that an `async def` or a `def` handler cannot use."""
    for module, declaration in handlers:
        bound = bindings.get(module, {})
        for port in declaration.ports:
            wanted = f"{declaration.place}: parameter {port.name!r} asks for {shown(port.annotation)}"
            if port.annotation in bound:
                continue
            if port.annotation in awaited_ports and not declaration.is_async:
                problems.append(f"{wanted}, which is awaited; make the handler `async def`")
            elif port.annotation in blocking_ports and declaration.is_async:
                problems.append(f"{wanted}, which blocks; make the handler `def`")
            elif port.annotation not in framework_ports and not port.optional:
                problems.append(f"{wanted}, which nobody provides; {_where_bound(port.annotation, module, bindings)}")


def _where_bound(port: Any, module: Module, bindings: Mapping[Module, Mapping[Any, BindingDeclaration]]) -> str:
    for other, bound in bindings.items():
        if port in bound:
            return f"only {other.name} has it ({bound[port].place}); bind it in {module.place} too"
    if isinstance(port, MessageMeta):
        return "a handler takes one message, first; ask for others through Ask, or declare another handler"
    home, name = getattr(port, "__module__", ""), getattr(port, "__name__", "")
    if home == "builtins":
        return f"ports go by type, and much is a {name}; give it a class of its own and bind that in {module.place}"
    if (home, name) == ("insula.messaging.bus", "Bus"):
        return "a handler reads others through Ask and has them work through UnitOfWork.send; the Bus is for outside"
    return f"bind it in {module.place}: `bind({shown(port)}, ...)`"


def check_bindings(modules: Iterable[Module], problems: list[str]) -> dict[Module, dict[Any, BindingDeclaration]]:
    """Module -> port -> binding. Appends to `problems` a port that is bound twice in one module."""
    bindings: dict[Module, dict[Any, BindingDeclaration]] = {}
    for module in modules:
        declared = [item for item in module.declarations if isinstance(item, BindingDeclaration)]
        for port, first, later in twins(declared, lambda binding: binding.port):
            problems.append(f"{module.name}: {shown(port)} is bound twice: {first.place} and {later.place}; keep one")
        bindings[module] = {binding.port: binding for binding in declared}
    return bindings


def check_routes(modules: Iterable[Module], handlers: Iterable[Owned], problems: list[str]) -> tuple[Served, ...]:
    """Each route with its handler. Appends to `problems`: a route without one, twice, or with an unknown field."""
    modules, handlers = tuple(modules), tuple(handlers)
    served: list[Served] = []
    for module in modules:
        for route in module.declarations:
            if not isinstance(route, RouteDeclaration):
                continue
            handler = _handler_behind(route, module, handlers)
            if handler is None or handler.message is None:
                function = Place.of_function(route.function)
                problems.append(f"{route.place}: {function} handles no message; put `handle` below the route")
                continue
            served.append((module, route, handler))
            _check_route(route, handler, problems)
    for (method, _), first, later in twins(served, lambda item: (item[1].method, shape(item[1].path))):
        problems.append(f"two routes for {method} {first[1].path}: {first[1].place} and {later[1].place}; change one")
    mounts = [item for module in modules for item in module.declarations if isinstance(item, MountDeclaration)]
    for path, mounted, again in twins(mounts, lambda mount: mount.path):
        problems.append(f"two applications under {path or '/'}: {mounted.place} and {again.place}; move one")
    return tuple(served)


def _handler_behind(route: RouteDeclaration, module: Module, handlers: Iterable[Owned]) -> HandlerDeclaration | None:
    for owner, handler in handlers:
        if owner is module and handler.function is route.function and handler.kind in ("command", "query"):
            return handler
    return None


def _check_route(route: RouteDeclaration, handler: HandlerDeclaration, problems: list[str]) -> None:
    message = handler.message
    if message is None:
        return
    fields = message.__struct_encode_fields__
    for name in route.parameters:
        if name not in fields:
            place = Place.of_message(message)
            problems.append(f"{route.place}: {{{name}}} is no field of {place}; it has {list(fields)}")
    if route.method == "GET" and handler.kind == "command":
        problems.append(f"{route.place}: GET must change nothing, and {message.__name__} is a command; use post")
