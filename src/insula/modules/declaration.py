"""What modules declare: frozen records of what was written where. Others interpret them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal, TypeAlias

from insula.messages import Message

HandlerKind = Literal["command", "query", "event", "schedule"]
AsgiApplication: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written, for error messages.

    Parameters: `file`, `line` from 1, and `name` of what stands there.
    """

    file: str
    line: int
    name: str

    @classmethod
    def of_frame(cls, frame: FrameType, name: str) -> Place:
        """The line that a frame is at."""
        return cls(frame.f_code.co_filename, frame.f_lineno, name)

    @classmethod
    def of_function(cls, function: Callable[..., Any]) -> Place:
        """The first line of a function, that of its first decorator if it has one; line 0 for what is no function."""
        inner = inspect.unwrap(function)
        name = getattr(inner, "__qualname__", repr(inner)).replace("<locals>.", "")
        code = getattr(inner, "__code__", None)
        if code is None:
            return cls("?", 0, name)
        return cls(code.co_filename, code.co_firstlineno, name)

    @classmethod
    def of_message(cls, message: type[Message]) -> Place:
        """The `class` line of a message."""
        file, line = message.__place__
        return cls(file, line, message.__name__)

    def __str__(self) -> str:
        return f"{self.name} ({self.file}:{self.line})"


@dataclass(frozen=True, slots=True)
class PortParameter:
    """A parameter of a handler that a port goes into.

    Parameters: `name`; `annotation`, the type, or text as long as it names what is not defined yet (in an Assembly
    all are types); `optional`, whether it has a default and stays out where nobody provides the port.
    """

    name: str
    annotation: Any
    optional: bool = False


@dataclass(frozen=True, slots=True)
class HandlerDeclaration:
    """A function that handles a message or a schedule.

    Parameters: `kind`; `message`, its class, None for a schedule; `function`; `name`, "module.function";
    `is_async`, whether it is `async def`; `ports`, in the order of its parameters after the message; `place`;
    `attempts` before a message is parked, None for the configured number; `renamed_from`, the consumer's earlier name;
    `schedule`, five cron fields, and `timezone`, an IANA name; `is_checked`, whether every annotation could be resolved
    and fits (in an Assembly always).
    """

    kind: HandlerKind
    message: type[Message] | None
    function: Callable[..., Any]
    name: str
    is_async: bool
    ports: tuple[PortParameter, ...]
    place: Place
    attempts: int | None = None
    renamed_from: str | None = None
    schedule: str | None = None
    timezone: str = "UTC"
    is_checked: bool = True

    @property
    def consumer(self) -> str:
        """The name under which inbox marks and parked messages are kept.

        A command has one handler, so it is the command's own: a function may be renamed, also between two attempts.
        """
        if self.kind == "command" and self.message is not None:
            return f"{self.name.rpartition('.')[0]}.{self.message.__message_name__}"
        return self.name


@dataclass(frozen=True, slots=True)
class RouteDeclaration:
    """An HTTP route onto the message that `function` handles.

    Parameters: `method`, upper case; `path`, with fields as "{name}"; `status` of a successful answer.
    """

    method: str
    path: str
    status: int
    function: Callable[..., Any]
    place: Place

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the braces of the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


@dataclass(frozen=True, slots=True)
class BindingDeclaration:
    """What a port of the module's own is made by.

    Parameters: `port`, the type that handlers ask for; `factory`, called to make it.
    """

    port: Any
    factory: Callable[..., Any]
    place: Place


@dataclass(frozen=True, slots=True)
class MountDeclaration:
    """An ASGI application served under a path."""

    path: str
    application: AsgiApplication
    place: Place


Declaration: TypeAlias = HandlerDeclaration | RouteDeclaration | BindingDeclaration | MountDeclaration
