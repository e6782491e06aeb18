"""Extremes, rounding and bits. Source: cel-go, `ext/math.go`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from insula.rules.errors import EvaluationError, NoOverload
from insula.rules.functions.registry import Functions
from insula.rules.values import INT_MAX, UINT_MAX, UInt, in_int, is_number, less, named

MATHEMATICS = Functions()
_BITS = 64


def _extreme(name: str, better: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    def extreme(*values: Any) -> Any:
        if len(values) == 1 and values[0].__class__ is list:
            values = tuple(values[0])
        if not values:
            raise NoOverload(f"{name} takes one number or more")
        for each in values:
            if not is_number(each):
                raise NoOverload(f"{name}({named(*values)}): it takes numbers")
        found = values[0]
        for each in values[1:]:
            if better(each, found):
                found = each
        return found

    return extreme


def _rounded(value: float) -> float:
    """To the nearest whole number, halves away from zero."""
    if not math.isfinite(value):
        return value
    whole = math.floor(abs(value))
    return math.copysign(whole + (abs(value) - whole >= 0.5), value)


def _sign(value: float) -> float:
    return value if math.isnan(value) or value == 0 else math.copysign(1.0, value)


def _kept(towards: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: math.copysign(float(towards(value)), value) if math.isfinite(value) else value


def _places(places: int) -> int:
    if places < 0:
        raise EvaluationError("a shift by fewer than 0 bits means nothing")
    return places


def _signed(value: int) -> int:
    value &= UINT_MAX
    return value - (1 << _BITS) if value > INT_MAX else value


def _left(value: int, places: int) -> int:
    return _signed(value << places) if _places(places) < _BITS else 0


def _right(value: int, places: int) -> int:
    """The empty places are filled with zeros, also for negative numbers."""
    return _signed((value & UINT_MAX) >> places) if _places(places) < _BITS else 0


def _root(value: float) -> float:
    return math.sqrt(value) if value >= 0 else math.nan


_BITWISE = {
    "math.bitAnd": lambda left, right: int(left) & int(right),
    "math.bitOr": lambda left, right: int(left) | int(right),
    "math.bitXor": lambda left, right: int(left) ^ int(right),
}
for _name, _operation in _BITWISE.items():
    MATHEMATICS.function(
        _name,
        {(int, int): _operation, (UInt, UInt): lambda left, right, do=_operation: UInt(do(left, right))},
    )
MATHEMATICS.of_anything("math.greatest", _extreme("math.greatest", lambda each, found: less(found, each)))
MATHEMATICS.of_anything("math.least", _extreme("math.least", less))
MATHEMATICS.function("math.bitNot", {(int,): lambda value: ~value, (UInt,): lambda value: UInt(~int(value) & UINT_MAX)})
MATHEMATICS.function(
    "math.bitShiftLeft",
    {(int, int): _left, (UInt, int): lambda value, places: UInt(_left(int(value), places) & UINT_MAX)},
)
MATHEMATICS.function(
    "math.bitShiftRight",
    {(int, int): _right, (UInt, int): lambda value, places: UInt(_right(int(value), places) & UINT_MAX)},
)
MATHEMATICS.function("math.ceil", {(float,): _kept(math.ceil)})
MATHEMATICS.function("math.floor", {(float,): _kept(math.floor)})
MATHEMATICS.function("math.trunc", {(float,): _kept(math.trunc)})
MATHEMATICS.function("math.round", {(float,): _rounded})
MATHEMATICS.function(
    "math.abs", {(int,): lambda value: in_int(abs(value)), (UInt,): lambda value: value, (float,): abs}
)
MATHEMATICS.function(
    "math.sign",
    {
        (int,): lambda value: (value > 0) - (value < 0),
        (UInt,): lambda value: UInt(value > 0),
        (float,): _sign,
    },
)
MATHEMATICS.function("math.sqrt", {(float,): _root, (int,): _root, (UInt,): _root})
MATHEMATICS.function("math.isNaN", {(float,): math.isnan})
MATHEMATICS.function("math.isInf", {(float,): math.isinf})
MATHEMATICS.function("math.isFinite", {(float,): math.isfinite})
