"""The types of CEL as far as they can be told without answering, and how Python's annotations become them."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from insula.rules.errors import RuleError
from insula.rules.moments import Duration, Timestamp
from insula.rules.values import UInt


@dataclass(frozen=True, slots=True)
class Type:
    """A type. Parameters: `of`, what a list, map or optional holds; `kind`, the class behind an object."""

    name: str
    of: tuple[Type, ...] = ()
    kind: Any = None

    def __str__(self) -> str:
        if self.kind is not None:
            return str(getattr(self.kind, "__name__", self.kind))
        return f"{self.name}({', '.join(map(str, self.of))})" if self.of else self.name


DYN, BOOL, INT, UINT, DOUBLE = Type("dyn"), Type("bool"), Type("int"), Type("uint"), Type("double")
STRING, BYTES, NULL, TYPE = Type("string"), Type("bytes"), Type("null_type"), Type("type")
TIMESTAMP, DURATION = Type("timestamp"), Type("duration")
NUMBERS = frozenset((INT, UINT, DOUBLE))
ORDERED = frozenset((BOOL, INT, UINT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION))

CLASSES: dict[str, type] = {
    "bool": bool, "int": int, "uint": UInt, "double": float, "string": str, "bytes": bytes, "null_type": type(None),
    "timestamp": Timestamp, "duration": Duration, "list": list, "map": dict,
}  # fmt: skip
"""What values of a type are in Python."""


def list_of(element: Type) -> Type:
    """A list."""
    return Type("list", (element,))


def map_of(key: Type, value: Type) -> Type:
    """A map."""
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    """A value that may be missing."""
    return Type("optional", (value,))


_PLAIN: tuple[tuple[Any, Type], ...] = (
    (bool, BOOL), (UInt, UINT), (int, INT), (float, DOUBLE), (Decimal, DOUBLE), (str, STRING), (bytes, BYTES),
    (datetime, TIMESTAMP), (timedelta, DURATION), (date, STRING), (time, STRING), (UUID, STRING), (type(None), NULL),
)  # fmt: skip


def type_of_annotation(annotation: Any) -> Type:
    """What a field with this annotation holds; `dyn` where that cannot be told."""
    if isinstance(annotation, str):
        raise RuleError(f"{annotation!r} is the name of a type; give the type itself, such as int")
    if isinstance(annotation, Mapping):  # a dict of names, as a shape
        return Type("object", kind=annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _of_union([type_of_annotation(each) for each in arguments if each is not type(None)])
    if origin in (typing.Annotated, typing.Final):
        return type_of_annotation(arguments[0])
    if origin is typing.Literal:
        return _of_union([type_of_annotation(type(each)) for each in arguments])
    kind = origin or annotation
    if not isinstance(kind, type):
        return DYN
    return _of_class(kind, [type_of_annotation(each) for each in arguments if each is not ...])


def _of_union(kinds: list[Type]) -> Type:
    return kinds[0] if len(set(kinds)) == 1 else DYN


def _of_class(kind: type, held: list[Type]) -> Type:
    for known, found in _PLAIN:
        if issubclass(kind, known) and not issubclass(kind, Enum):
            return found
    if issubclass(kind, Enum):
        return _of_union([type_of_annotation(type(member.value)) for member in kind])
    if issubclass(kind, Mapping):
        return map_of(*held) if len(held) == 2 else map_of(DYN, DYN)
    if issubclass(kind, Sequence | AbstractSet):
        return list_of(_of_union(held) if held else DYN)
    return Type("object", kind=kind) if fields_of(kind) else DYN


def fields_of(kind: Any) -> Mapping[str, Any]:
    """The fields of a class or shape, with their annotations; properties are fields of any type."""
    if isinstance(kind, Mapping):
        return kind
    try:
        declared = typing.get_type_hints(kind)
    except (NameError, TypeError):
        return {}
    properties = {
        name: Any for each in kind.__mro__ for name, value in vars(each).items() if isinstance(value, property)
    }
    return {name: each for name, each in (properties | declared).items() if not name.startswith("_")}


def class_of(kind: Any, asked: str) -> Any:
    """The same, if it is a class. Parameters: `asked`, what is called, for a message. Raises `RuleError`."""
    if isinstance(kind, type) or isinstance(typing.get_origin(kind), type):
        return kind
    raise RuleError(
        f"{asked}({kind!r:.60}): that is a {type(kind).__name__} and no class; give the class, such as {asked}(Order)"
    )
