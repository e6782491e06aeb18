"""`+ - * / %` and the minus sign. Source: cel-spec, `langdef.md`, "Arithmetic"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from insula.rules.errors import EvaluationError, NoOverload
from insula.rules.moments import Duration, Timestamp
from insula.rules.values import UInt, in_int, in_uint, named

Operation = Callable[[Any, Any], Any]


def _plus(left: Any, right: Any) -> Any:
    return left + right


def _of_nanoseconds(result: type[Timestamp | Duration], sign: int = 1) -> Operation:
    return lambda left, right: result(left.nanoseconds + sign * right.nanoseconds)


def _divided(left: float, right: float) -> float:
    try:
        return left / right
    except ZeroDivisionError:
        if left == 0 or math.isnan(left):
            return math.nan
        return math.copysign(math.inf, math.copysign(1, left) * math.copysign(1, right))


def _not_zero(divisor: int) -> int:
    if divisor == 0:
        raise EvaluationError("division by zero")
    return divisor


def _quotient(left: int, right: int) -> int:
    """Rounded towards zero."""
    size = abs(left) // abs(_not_zero(right))
    return in_int(size if (left < 0) is (right < 0) else -size)


def _remainder(left: int, right: int) -> int:
    """With the sign of what is divided."""
    size = abs(left) % abs(_not_zero(right))
    return -size if left < 0 else size


_ADDITION: dict[tuple[type, type], Operation] = {
    (int, int): lambda left, right: in_int(left + right),
    (UInt, UInt): lambda left, right: in_uint(int(left) + right),
    (float, float): _plus,
    (str, str): _plus,
    (bytes, bytes): _plus,
    (list, list): _plus,
    (Timestamp, Duration): _of_nanoseconds(Timestamp),
    (Duration, Timestamp): _of_nanoseconds(Timestamp),
    (Duration, Duration): _of_nanoseconds(Duration),
}
_SUBTRACTION: dict[tuple[type, type], Operation] = {
    (int, int): lambda left, right: in_int(left - right),
    (UInt, UInt): lambda left, right: in_uint(int(left) - right),
    (float, float): lambda left, right: left - right,
    (Timestamp, Duration): _of_nanoseconds(Timestamp, -1),
    (Timestamp, Timestamp): _of_nanoseconds(Duration, -1),
    (Duration, Duration): _of_nanoseconds(Duration, -1),
}
_MULTIPLICATION: dict[tuple[type, type], Operation] = {
    (int, int): lambda left, right: in_int(left * right),
    (UInt, UInt): lambda left, right: in_uint(int(left) * right),
    (float, float): lambda left, right: left * right,
}
_DIVISION: dict[tuple[type, type], Operation] = {
    (int, int): _quotient,
    (UInt, UInt): lambda left, right: UInt(left // _not_zero(right)),
    (float, float): _divided,
}
_MODULO: dict[tuple[type, type], Operation] = {
    (int, int): _remainder,
    (UInt, UInt): lambda left, right: UInt(left % _not_zero(right)),
}


def _operator(sign: str, table: dict[tuple[type, type], Operation]) -> Operation:
    def operate(left: Any, right: Any) -> Any:
        operation = table.get((left.__class__, right.__class__))
        if operation is None:
            raise NoOverload(f"{named(left)} {sign} {named(right)} means nothing; int(), uint() and double() convert")
        return operation(left, right)

    return operate


_TABLES = {"+": _ADDITION, "-": _SUBTRACTION, "*": _MULTIPLICATION, "/": _DIVISION, "%": _MODULO}
OPERATORS = {sign: _operator(sign, table) for sign, table in _TABLES.items()}

_RESULTS: dict[tuple[type, type], type] = {(Timestamp, Duration): Timestamp, (Duration, Timestamp): Timestamp}
_OF_SUBTRACTION: dict[tuple[type, type], type] = {(Timestamp, Timestamp): Duration}
OPERANDS: dict[str, dict[tuple[type, type], type]] = {
    sign: {pair: (_OF_SUBTRACTION if sign == "-" else {}).get(pair) or _RESULTS.get(pair, pair[0]) for pair in table}
    for sign, table in _TABLES.items()
}
"""Operator -> the classes that it takes, and the class of its result."""


def negated(value: Any) -> Any:
    """`-value`. Raises `NoOverload` for what has no negative, EvaluationError for the least int."""
    if value.__class__ is int:
        return in_int(-value)
    if value.__class__ is float:
        return -value
    if value.__class__ is Duration:
        return Duration(-value.nanoseconds)
    raise NoOverload(f"-{named(value)} means nothing")
