"""Messages: frozen values that say what is wanted (Command, Query) or what happened (Event)."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping
from datetime import date, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, cast, dataclass_transform
from uuid import UUID

import msgspec

from insula.kernel.errors import Rejection
from insula.messages import codec
from insula.messages.immutability import check_immutable, is_text_like, open_variables, shown, substituted
from insula.messages.resolution import resolve

R_co = TypeVar("R_co", covariant=True)

Kind = Literal["command", "query", "event"]

# Their text is always the same for the same value; None has no order to keep.
_KEY_TYPES = (str, int, UUID, Enum, date, type(None))


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class MessageMeta(msgspec.StructMeta):
    """Makes message classes and checks them; see `Message` for the class keywords."""

    __message_name__: str
    __version__: int
    __key_field__: str | None
    __rejects__: tuple[type[Rejection], ...]
    __expires__: timedelta | None
    __result_type__: Any
    __kind__: Kind | None
    __place__: tuple[str, int]
    __is_checked__: bool

    def __new__(  # noqa: PYI034 - mypy knows no Self in a metaclass
        metacls,
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        *,
        key: str | None = None,
        rejects: tuple[type[Rejection], ...] | None = None,
        name: str | None = None,
        version: int = 1,
        expires: timedelta | None = None,
    ) -> MessageMeta:
        # Nothing can lead from a frozen value made of frozen values back to it: the cycle collector may skip it.
        cls = super().__new__(metacls, class_name, bases, namespace, frozen=True, kw_only=True, gc=False)
        cls.__message_name__ = class_name if name is None else name
        cls.__version__ = version
        cls.__key_field__ = getattr(cls, "__key_field__", None) if key is None else key
        cls.__rejects__ = getattr(cls, "__rejects__", ()) if rejects is None else rejects
        cls.__expires__ = getattr(cls, "__expires__", None) if expires is None else expires
        statement = sys._getframe(1)
        cls.__place__ = (statement.f_code.co_filename, statement.f_lineno)
        cls.__is_checked__ = namespace.get("__module__") == __name__
        cls.__kind__ = None if cls.__is_checked__ else _inherited_kind(cls)
        cls.__result_type__ = None
        if not cls.__is_checked__:
            try:
                cls.__result_type__ = _declared_result(cls)
                _check_keywords(cls)
            except TypeError as error:
                raise TypeError(f"{error} ({cls.__place__[0]}:{cls.__place__[1]})") from None
            try:
                check_message(cast("type[Message]", cls))
            except NameError:
                pass  # a field names a class that comes later; checked again when the system is assembled
        return cls


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, metaclass=MessageMeta):
    """What modules say to each other: frozen, keyword-only, made of immutable values. Subclass Command, Query, Event.

    Class keywords: `key`, the field by which messages keep their order (default none, inherited);
    `rejects`, the rejections that the answer may be, on commands and queries (default none, inherited);
    `name`, the name on the wire, default that of the class; `version` of the schema, default 1;
    `expires`, the age at which a command or an event is worth nothing any more (default never, inherited).
    Raises TypeError when the class is made: for a field whose type can change, naming it; for a wrong keyword.
    """


class Command(Message, Generic[R_co]):
    """A wish to change something, to the one module that handles it; `Command[R]` answers R or rejects."""

    if TYPE_CHECKING:

        @classmethod
        def __message_and_result__(cls) -> tuple[Self, R_co]: ...


class Query(Message, Generic[R_co]):
    """A question to the one module that handles it; `Query[R]` answers R or rejects, and changes nothing."""

    if TYPE_CHECKING:

        @classmethod
        def __message_and_result__(cls) -> tuple[Self, R_co]: ...


class Event(Message):
    """Something that happened, told to whoever listens."""


_KINDS: tuple[tuple[type[Message], Kind], ...] = ((Command, "command"), (Query, "query"), (Event, "event"))


def kind_of(message: Any) -> Kind:
    """Whether a message class is a command, a query or an event. Raises TypeError for any other class."""
    kind: Kind | None = getattr(message, "__kind__", None)
    if kind is None:
        raise TypeError(f"{shown(message)} is no message; subclass Command[R], Query[R] or Event")
    return kind


def key_of(message: Message) -> str | None:
    """The ordering key of a message as text; None for a message without one."""
    field = type(message).__key_field__
    if field is None:
        return None
    value = getattr(message, field)
    if type(value) is str:  # nearly always
        return value
    if isinstance(value, Enum):
        value = value.value
    return None if value is None else str(value)


def result_type(message: type[Message]) -> Any:
    """The R of a Command[R] or Query[R] as a type, NoneType for None and for events.

    Raises NameError for a forward reference that is not defined yet.
    """
    return resolve(message.__result_type__, _names_around(message), {message.__name__: message})


def check_message(message: type[Message]) -> None:
    """Check that fields, result and rejections are immutable and can be decoded; done once, when the class is made.

    Raises TypeError naming the class, its place and the field; NameError if a name is not defined (yet).
    """
    if message.__is_checked__:
        return
    try:
        _check_fields(message)
        _check_result_and_rejections(message)
        codec.decoder(message)
    except TypeError as error:
        file, line = message.__place__
        text = str(error)
        named = text if message.__name__ in text else f"{message.__name__}: {text}"
        raise TypeError(f"{named} ({file}:{line})") from None
    message.__is_checked__ = True


def _check_fields(message: type[Message]) -> None:
    undefined: NameError | None = None
    for field, (annotation, owner) in _field_annotations(message).items():
        try:
            hint = resolve(annotation, _names_around(owner), {message.__name__: message})
            check_immutable(hint, f"{message.__name__}.{field}")
            if field == message.__key_field__ and not is_text_like(hint, _KEY_TYPES):
                raise TypeError(
                    f"{message.__name__}.{field} is {shown(hint)} and cannot be the key; "
                    "use text, an int, a UUID, an enum or a date, whose text is always the same"
                )
        except NameError as error:
            undefined = undefined or error
    if undefined is not None:
        raise undefined


def _field_annotations(message: type[Message]) -> dict[str, tuple[Any, type]]:
    """Field -> its annotation as written, and the class that wrote it."""
    found: dict[str, tuple[Any, type]] = {}
    for ancestor in reversed(message.__mro__):
        if not isinstance(ancestor, msgspec.StructMeta):
            continue
        for name, annotation in inspect.get_annotations(ancestor).items():
            if name in message.__struct_fields__:
                found[name] = (annotation, ancestor)
    return found


def _check_result_and_rejections(message: type[Message]) -> None:
    result = result_type(message)
    if open_variables(result):
        return  # still open: only subclasses that fill it in can be handled
    check_immutable(result, f"the result of {message.__name__}")
    codec.decoder(result)
    for rejection in message.__rejects__:
        for field, hint in rejection.__rejection_fields__.items():
            check_immutable(hint, f"{rejection.__name__}.{field}, rejected by {message.__name__},")


def _check_keywords(cls: MessageMeta) -> None:
    name = cls.__name__
    if cls.__key_field__ is not None and cls.__key_field__ not in cls.__struct_fields__:
        raise TypeError(f"{name}: key={cls.__key_field__!r} is no field; it has {list(cls.__struct_fields__)}")
    if not cls.__message_name__ or cls.__message_name__.split() != [cls.__message_name__]:
        raise TypeError(f"{name}: name={cls.__message_name__!r} must be one word")
    if type(cls.__version__) is not int or cls.__version__ < 1:
        raise TypeError(f"{name}: version={cls.__version__!r} must be a whole number from 1")
    if cls.__expires__ is not None and (Query in cls.__mro__ or cls.__expires__ <= timedelta(0)):
        raise TypeError(f"{name}: expires= takes a positive timedelta, on commands and events")
    if cls.__rejects__ and Command not in cls.__mro__ and Query not in cls.__mro__:
        raise TypeError(f"{name}: rejects= is for commands and queries; nobody waits for the answer to an event")
    codes: dict[str, type[Rejection]] = {}
    if not isinstance(cls.__rejects__, tuple):
        raise TypeError(f"{name}: rejects= takes a tuple of Rejections, such as rejects=(TooSmall,)")
    for rejection in cls.__rejects__:
        if not _is_rejection(rejection):
            raise TypeError(f"{name}: rejects= holds {rejection!r}, which is no subclass of Rejection")
        if codes.setdefault(rejection.code, rejection) is not rejection:
            raise TypeError(f"{name}: rejects= holds two classes with the code {rejection.code!r}")


def _is_rejection(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Rejection)


def _inherited_kind(cls: type) -> Kind | None:
    return next((kind for root, kind in _KINDS if root in cls.__mro__), None)


def _declared_result(cls: type, parameters: Mapping[Any, Any] | None = None) -> Any:
    """The argument of Command or Query among the bases, through generic classes in between; None without one."""
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin, arguments = typing.get_origin(base) or base, typing.get_args(base)
        given = tuple(substituted(argument, parameters or {}) for argument in arguments)
        if origin in (Command, Query):
            if not given:
                raise TypeError(f"{cls.__name__}: say what it answers, such as {origin.__name__}[None]")
            return given[0]
        if isinstance(origin, MessageMeta):
            inner = dict(zip(getattr(origin, "__parameters__", ()), given, strict=False))
            result = _declared_result(origin, inner)
            if result is not None:
                return result
    return None


def _names_around(cls: type) -> Mapping[str, Any]:
    module = sys.modules.get(cls.__module__)
    return vars(module) if module is not None else {}
