"""The values of CEL in Python, and which of them are equal or less. Source: cel-spec, `langdef.md`, "Values".

None, bool, int, float, str, bytes, list and dict stand for themselves. The key of a map that is a bool is kept as
`MapKey`, since Python takes True for 1.
"""

from __future__ import annotations

import math
import operator as operators
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import repeat
from typing import Any, Final

from insula.rules.errors import EvaluationError, NoOverload
from insula.rules.moments import Duration, Timestamp

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1


class UInt(int):
    """An unsigned integer of 64 bits, which CEL tells from a signed one by its type, though they compare equal."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{int(self)}u"


class MapKey(Enum):
    """A bool as the key of a map."""

    FALSE = False
    TRUE = True


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value, such as `int`."""

    name: str


@dataclass(frozen=True, slots=True)
class OptionalValue:
    """A value that may be missing."""

    value: Any
    present: bool = True


NONE: Final = OptionalValue(None, present=False)

_TYPE_NAMES: dict[type, str] = {
    type(None): "null_type",
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
    OptionalValue: "optional_type",
    TypeValue: "type",
}
TYPES: Final = {name: TypeValue(name) for name in _TYPE_NAMES.values()}


def type_of(value: object) -> TypeValue:
    """The type of a value."""
    return TYPES[_TYPE_NAMES[value.__class__]]


def named(*values: object) -> str:
    """The types of values, for a message."""
    return ", ".join(_TYPE_NAMES.get(value.__class__, value.__class__.__name__) for value in values)


def is_number(value: object) -> bool:
    """Whether it is an int, uint or double."""
    return value.__class__ in _NUMBERS


_NUMBERS = frozenset((int, UInt, float))


Spend = Callable[[int], None]
"""Takes so many steps from those that an answer has left."""


def freely(_: int) -> None:
    """Where steps are not counted."""


def equal(left: Any, right: Any, spend: Spend = freely) -> bool:
    """Equal as CEL means it: numbers by value whatever their type, everything else only within its type.

    Parameters: `spend`, which is told how much there is to compare. A value may hold another one many times over, so
    that comparing takes longer than making it did.
    """
    kind, other = left.__class__, right.__class__
    if kind is not other:
        return kind in _NUMBERS and other in _NUMBERS and _comparable(left, right) == _comparable(right, left)
    if kind is list:
        spend(1 + (len(left) >> 3))
        return len(left) == len(right) and all(map(equal, left, right, repeat(spend)))
    if kind is dict:
        spend(1 + (len(left) >> 3))
        return len(left) == len(right) and all(
            key in right and equal(value, right[key], spend) for key, value in left.items()
        )
    if kind is OptionalValue:
        return left.present is right.present and equal(left.value, right.value, spend)
    return bool(left == right)


MOST_WEIGHT = 2**21
"""Where it is not worth while to go on weighing."""


def weight_of(value: Any, most: int) -> int:
    """The steps of writing a value with all that it holds: elements, and 64 characters; not much more than `most`."""
    kind = value.__class__
    if kind is str or kind is bytes:
        return 1 + (len(value) >> 6)
    if kind is OptionalValue:
        return 1 + weight_of(value.value, most)
    if kind is not list and kind is not dict:
        return 1
    weight = 1 + (sum(weight_of(each, most) for each in value) if kind is dict else 0)
    for each in value.values() if kind is dict else value:
        weight += weight_of(each, most - weight)
        if weight > most:
            break
    return weight


_ORDERED = frozenset((bool, int, UInt, float, str, bytes, Timestamp, Duration))


def _comparable(value: float, other: float) -> float:
    """A number as it is compared with another: beside a double everything is one, as in the other implementations."""
    return float(value) if other.__class__ is float else value


def _order(sign: str, compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        kind, other = left.__class__, right.__class__
        if kind is other and kind in _ORDERED:
            return bool(compare(left, right))
        if kind in _NUMBERS and other in _NUMBERS:
            return bool(compare(_comparable(left, right), _comparable(right, left)))
        raise NoOverload(f"{named(left)} {sign} {named(right)}: there is no order between them")

    return ordered


less, less_or_equal = _order("<", operators.lt), _order("<=", operators.le)
greater, greater_or_equal = _order(">", operators.gt), _order(">=", operators.ge)
"""What comes before what. They raise `NoOverload` for types that have no order between them."""


def contains(element: Any, container: Any, spend: Spend = freely) -> bool:
    """`element in container`: a list's element or a map's key."""
    if container.__class__ is list:
        spend(len(container) >> 3)
        return any(equal(element, each, spend) for each in container)
    if container.__class__ is dict:
        try:
            return map_key(element) in container
        except EvaluationError:
            return False
    raise NoOverload(f"in {named(container)}: only a list or a map contains something")


def map_key(value: Any) -> Any:
    """A value as the key of a map. Raises `NoOverload` for what cannot be one."""
    kind = value.__class__
    if kind is bool:
        return MapKey(value)
    if kind is str or kind is int or kind is UInt:
        return value
    if kind is float and value.is_integer():
        return int(value)
    raise NoOverload(f"{named(value)} is no key of a map")


def key_value(key: Any) -> Any:
    """The other way round."""
    return key.value if key.__class__ is MapKey else key


def in_int(value: int) -> int:
    """The value, if it fits 64 signed bits. Raises `EvaluationError`."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvaluationError("the result does not fit an int of 64 bits")


def in_uint(value: int) -> UInt:
    """The value, if it fits 64 unsigned bits. Raises `EvaluationError`."""
    if 0 <= value <= UINT_MAX:
        return UInt(value)
    raise EvaluationError("the result does not fit a uint of 64 bits")


def whole(value: float) -> int:
    """A double without its fraction. Raises `EvaluationError` for what is no number, or infinite."""
    if not math.isfinite(value):
        raise EvaluationError(f"{value} is no whole number")
    return math.trunc(value)


def is_zero(value: Any) -> bool:
    """Whether it is the zero value of its type."""
    if value.__class__ in (Timestamp, Duration):
        return bool(value.nanoseconds == 0)
    return not value if value.__class__ is not TypeValue else False
