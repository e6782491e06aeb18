"""The two families of error: business says no (`Rejection`), the machine failed (`Failure`)."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import get_annotations
from typing import Any, ClassVar, cast, dataclass_transform, get_type_hints

_MISSING = object()


class InsulaError(Exception):
    """Everything that Insula itself raises."""


class ConfigurationError(InsulaError):
    """The configuration cannot be used; the message names the file or argument, the key and what was expected."""


class AssemblyError(InsulaError):
    """The system does not fit together; the message names every place (file and line) that has to change."""


class _FieldTypes:
    """Field types of a rejection class, resolved on first use so that fields may name classes defined later."""

    def __get__(self, instance: object, owner: type[Rejection]) -> Mapping[str, Any]:
        resolved = owner.__dict__.get("__field_types__")
        if resolved is None:
            hints = get_type_hints(owner, include_extras=True)
            resolved = {name: hints[name] for name in owner.__field_names__}
            owner.__field_types__ = resolved
        return cast("Mapping[str, Any]", resolved)


@dataclass_transform(kw_only_default=True)
class Rejection(InsulaError):
    """Business says no: typed, part of the contract, never retried.

    A subclass declares its payload as annotated fields: `class TooSmall(Rejection, status=422): minimum: int`.

    Class keywords: `status`, the HTTP status at the edge, 400 to 499, default 409 or that of the parent class;
    `code`, the name on the wire, default the name of the class.
    Raises TypeError for a missing or unknown field, a status out of range, or a field named like a method.
    """

    status: ClassVar[int] = 409
    code: ClassVar[str] = "Rejection"
    __rejection_fields__: ClassVar[Any] = _FieldTypes()
    __field_names__: ClassVar[tuple[str, ...]] = ()
    __field_types__: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, *, status: int | None = None, code: str | None = None, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if status is not None:
            if not 400 <= status <= 499:
                raise TypeError(f"{cls.__qualname__}: status={status} is no refusal; choose 400 to 499")
            cls.status = status
        cls.code = code or cls.__name__
        cls.__field_names__ = _collect_fields(cls)

    def __init__(self, **payload: Any) -> None:
        super().__init__()
        cls = type(self)
        for name in cls.__field_names__:
            value = payload.pop(name, _MISSING)
            if value is _MISSING:
                value = getattr(cls, name, _MISSING)
                if value is _MISSING:
                    raise TypeError(f"{cls.__qualname__}: field {name!r} is missing")
            self.__dict__[name] = value
        if payload:
            unknown = ", ".join(repr(name) for name in payload)
            raise TypeError(f"{cls.__qualname__} has no field {unknown}; it has {list(cls.__field_names__)}")

    def payload(self) -> dict[str, Any]:
        """Every field with its value, in the order of declaration."""
        return {name: getattr(self, name) for name in self.__field_names__}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rejection) or type(other) is not type(self):
            return NotImplemented
        return self.payload() == other.payload()

    def __hash__(self) -> int:
        # By class only: payloads may hold what cannot be hashed, and an exception must always be hashable.
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._shown_fields())})"

    def __str__(self) -> str:
        fields = ", ".join(self._shown_fields())
        return f"{self.code}: {fields}" if fields else self.code

    def _shown_fields(self) -> list[str]:
        return [f"{name}={value!r}" for name, value in self.payload().items()]


_RESERVED = frozenset(dir(Rejection))


def _collect_fields(cls: type[Rejection]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for ancestor in reversed(cls.__mro__):
        if not issubclass(ancestor, Rejection) or ancestor is Rejection:
            continue
        for name, annotation in get_annotations(ancestor).items():
            if _is_class_variable(annotation):
                continue
            if name in _RESERVED:
                raise TypeError(f"{ancestor.__qualname__}.{name}: the name {name!r} is taken by Rejection; rename it")
            names[name] = None
    return tuple(names)


def _is_class_variable(annotation: Any) -> bool:
    text = annotation if isinstance(annotation, str) else repr(annotation)
    return text.startswith(("ClassVar", "typing.ClassVar", "t.ClassVar"))


class Failure(InsulaError):
    """The machine failed: nothing was decided, and trying again may help.

    Parameters: `message`, what failed and what to do; `retry_after`, seconds until it is worth trying again, or None.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "Failure"

    def __init_subclass__(cls, *, status: int | None = None, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if status is not None:
            cls.status = status
        cls.code = cls.__name__

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Failure, status=503):
    """A database, broker or neighbour does not answer now, or the system sheds load."""


class DeadlineExceeded(Failure, status=504):
    """The time that the caller granted is over; the work may or may not have happened."""


class StorageFull(Failure, status=507):
    """The disk has no room left; what was asked for is not stored."""
