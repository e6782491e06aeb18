"""Which types a message may hold: immutable ones, so that a local call behaves like a remote one without a copy."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections import deque
from collections.abc import Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec

from insula.messages.frozen_map import FrozenMap

_ATOMS = frozenset(
    {type(None), bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID, msgspec.UnsetType}
)
_TUPLE, _MAP, _SET = "tuple[X, ...]", "FrozenMap[K, V]", "frozenset[X]"
_ADVICE: dict[Any, str] = {
    **dict.fromkeys((list, deque, Sequence, MutableSequence), _TUPLE),
    **dict.fromkeys((dict, Mapping, MutableMapping), _MAP),
    **dict.fromkeys((set, AbstractSet, MutableSet), _SET),
    bytearray: "bytes",
    memoryview: "bytes",
    Any: "the type that is meant, or a union of types",
    object: "the type that is meant, or a union of types",
    tuple: f"{_TUPLE}, saying what it holds",
    frozenset: f"{_SET}, saying what it holds",
    FrozenMap: f"{_MAP}, saying what it holds",
}
_MAP_KEYS = (str, int, Decimal, bytes, date, time, UUID, Enum)
_CONTAINERS = (tuple, frozenset, FrozenMap)


def check_immutable(annotation: Any, path: str) -> None:
    """Refuse a type whose values can change, or that hold one that can.

    Parameters: `annotation`, a resolved type; `path`, what to call it in the error, such as "PlaceOrder.lines".
    Raises TypeError naming the path, the type and what to use instead; NameError for a name that is not defined yet.
    """
    _check(annotation, path, frozenset())


def _check(annotation: Any, path: str, above: frozenset[Any]) -> None:
    if annotation is None or annotation in _ATOMS:
        return
    if annotation in above:
        return  # a type that holds itself is judged by its other fields
    if advice := _ADVICE.get(annotation):
        raise TypeError(_refusal(path, annotation, advice))
    origin = typing.get_origin(annotation)
    if origin is not None:
        _check_parametrised(annotation, origin, path, above)
    elif isinstance(annotation, typing.NewType):
        _check(annotation.__supertype__, path, above)
    elif hasattr(annotation, "__value__"):  # `type Name = ...`
        _check(annotation.__value__, path, above)
    elif isinstance(annotation, typing.TypeVar):
        raise TypeError(f"{path} is the type variable {annotation}; give it a type in the class that is sent")
    elif isinstance(annotation, type):
        _check_class(annotation, path, above)
    else:
        raise TypeError(f"{path}: {annotation!r} is no type that a message can hold")


def _check_parametrised(annotation: Any, origin: Any, path: str, above: frozenset[Any]) -> None:
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        _check(arguments[0], path, above)
    elif origin is typing.Literal:
        return
    elif origin in (typing.Union, types.UnionType) or origin in _CONTAINERS:
        if origin is FrozenMap and not is_text_like(arguments[0], _MAP_KEYS):
            raise TypeError(f"{path}: the keys of {shown(annotation)} must be text, numbers, dates, UUIDs or enums")
        for argument in arguments:
            if argument is not Ellipsis:
                _check(argument, path, above)
    elif advice := _ADVICE.get(origin):
        raise TypeError(_refusal(path, annotation, advice))
    elif isinstance(origin, type):
        parameters = dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=False))
        _check_class(origin, path, above | {annotation}, parameters)
    else:
        raise TypeError(f"{path}: {annotation!r} is no type that a message can hold")


def _check_class(cls: type, path: str, above: frozenset[Any], parameters: Mapping[Any, Any] | None = None) -> None:
    if issubclass(cls, Enum):
        return
    if advice := _advice_on_class(cls):
        raise TypeError(_refusal(path, cls, advice))
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        if typing.get_origin(hint) is not typing.ClassVar and hint is not typing.ClassVar:
            _check(substituted(hint, parameters or {}), f"{path}.{name}", above | {cls})


def _advice_on_class(cls: type) -> str | None:
    """What to use instead of a class; None for one whose own fields cannot be assigned."""
    if issubclass(cls, msgspec.Struct):
        return None if cls.__struct_config__.frozen else f"`class {cls.__name__}(msgspec.Struct, frozen=True)`"
    if dataclasses.is_dataclass(cls):
        frozen = cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
        return None if frozen else f"`@dataclass(frozen=True)` on {cls.__name__}"
    if issubclass(cls, tuple) and hasattr(cls, "_field_defaults"):
        return None  # a NamedTuple
    for plain in (str, int, float, bytes):
        if issubclass(cls, plain):
            return f'NewType("{cls.__name__}", {plain.__name__}): a subclass would come back as {plain.__name__}'
    return "a frozen msgspec.Struct"


def is_text_like(annotation: Any, classes: tuple[type, ...]) -> bool:
    """Whether all values of a type are of these classes, so that their text can stand for them; a bool is no int."""
    if isinstance(annotation, typing.NewType):
        return is_text_like(annotation.__supertype__, classes)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return is_text_like(arguments[0], classes)
    if origin is typing.Literal:
        return all(is_text_like(type(value), classes) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return all(is_text_like(argument, classes) for argument in arguments)
    return isinstance(annotation, type) and issubclass(annotation, classes) and annotation is not bool


def substituted(hint: Any, parameters: Mapping[Any, Any]) -> Any:
    """The type with its variables replaced by what stands for them."""
    if isinstance(hint, typing.TypeVar):
        return parameters.get(hint, hint)
    variables = open_variables(hint)
    return hint[tuple(parameters.get(variable, variable) for variable in variables)] if variables else hint


def open_variables(hint: Any) -> tuple[Any, ...]:
    """The type variables that a type still has."""
    if isinstance(hint, typing.TypeVar):
        return (hint,)
    variables: tuple[Any, ...] = () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
    return variables


def _refusal(path: str, annotation: Any, advice: str) -> str:
    return f"{path}: {shown(annotation)} can change after the message is made; use {advice}"


def shown(annotation: Any) -> str:
    """A type as its author wrote it, near enough for an error message."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__qualname__
    return repr(annotation).replace("typing.", "")
