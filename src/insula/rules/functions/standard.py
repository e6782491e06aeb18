"""Sizes, texts and conversions. Source: cel-spec, `langdef.md`, "List of Standard Definitions"."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import re2

from insula.rules.errors import EvaluationError, NoOverload
from insula.rules.functions.registry import Functions
from insula.rules.moments import SECOND, Duration, Timestamp
from insula.rules.values import TypeValue, UInt, in_int, in_uint, named, type_of, whole

STANDARD = Functions()

_INT = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_UINT = re.compile(r"[0-9]{1,20}", re.ASCII)
_DOUBLE = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]{1,4})?|[+-]?(?:inf|infinity)|nan", re.ASCII | re.IGNORECASE
)
_LONGEST_NUMBER = 400
_BOOLS = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True)
_BOOLS |= dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False)
_PATTERN = re2.Options()
_PATTERN.log_errors = False
_PATTERN.max_mem = 1 << 20


def _size(value: Any) -> int:
    return len(value)


def matches(text: str, pattern: str) -> bool:
    """Whether the pattern, of RE2, is found anywhere. The time it takes grows with the length of the text alone."""
    compiled, problem = _compiled(pattern)
    if compiled is None:
        raise EvaluationError(f"matches: {pattern[:60]!r} is no pattern of RE2: {problem}")
    return compiled.search(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> tuple[Any, str]:
    """The pattern, or why it is none."""
    try:
        return re2.compile(pattern, _PATTERN), ""
    except re2.error as error:
        return None, _reason(error)


_STEPS_OF_A_BAD_PATTERN = 4000
"""Most of them are too large, and it takes long to find out."""


def _weight_of_matching(text: Any, pattern: Any) -> int:
    """A large pattern takes long to be made, and may take as many times longer at each character."""
    if not text.__class__ is pattern.__class__ is str:
        return 0
    compiled, _ = _compiled(pattern)
    if compiled is None:
        return _STEPS_OF_A_BAD_PATTERN
    size: int = compiled.programsize
    return (size >> 3) + (len(text) * size >> 8)


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def _int_of(text: str) -> int:
    if _INT.fullmatch(text) is None:
        raise EvaluationError(f'int("{text[:40]}") is no whole number')
    return in_int(int(text))


def _uint_of(text: str) -> UInt:
    if _UINT.fullmatch(text) is None:
        raise EvaluationError(f'uint("{text[:40]}") is no whole number from 0 on')
    return in_uint(int(text))


def _double_of(text: str) -> float:
    if len(text) > _LONGEST_NUMBER or _DOUBLE.fullmatch(text) is None:
        raise EvaluationError(f'double("{text[:40]}") is no number')
    return float(text)


def _bool_of(text: str) -> bool:
    found = _BOOLS.get(text)
    if found is None:
        raise EvaluationError(f'bool("{text[:40]}"): write true or false')
    return found


def _int_of_double(value: float) -> int:
    # The largest int is no double: the next one is 2^63, which is out of range.
    if not -(2.0**63) < value < 2.0**63:
        raise EvaluationError(f"int({value!r}) does not fit 64 bits")
    return whole(value)


def _uint_of_double(value: float) -> UInt:
    if not 0 <= value < 2.0**64:
        raise EvaluationError(f"uint({value!r}) does not fit 64 bits")
    return UInt(whole(value))


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise EvaluationError(f"string(bytes): no UTF-8 at byte {error.start}") from None


def text_of_double(value: float) -> str:
    """A double as Go writes it, which CEL follows: no ".0", and an exponent only where it is shorter."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value and not 1e-4 <= abs(value) < 1e21:
        digits, exponent = repr(float(f"{value!r}")).split("e") if "e" in repr(value) else f"{value:e}".split("e")
        return f"{digits}e{'-' if exponent[0] == '-' else '+'}{exponent.lstrip('+-0').rjust(2, '0')}"
    return f"{value:.0f}" if value.is_integer() else repr(value)


def _same(value: Any) -> Any:
    return value


def _type(value: Any) -> TypeValue:
    try:
        return type_of(value)
    except KeyError:
        raise NoOverload(f"type({named(value)}): what it is has no name here") from None


STANDARD.both(
    ("size",),
    {(kind,): _size for kind in (str, bytes, list, dict)},
)
STANDARD.method("contains", {(str, str): lambda text, part: part in text})
STANDARD.method("startsWith", {(str, str): str.startswith})
STANDARD.method("endsWith", {(str, str): str.endswith})
STANDARD.both(("matches",), {(str, str): matches})
STANDARD.weigh("matches", _weight_of_matching)
STANDARD.of_anything("dyn", _same)
STANDARD.of_anything("type", _type)
STANDARD.function(
    "int",
    {
        (int,): _same,
        (UInt,): lambda value: in_int(int(value)),
        (float,): _int_of_double,
        (str,): _int_of,
        (Timestamp,): lambda value: value.nanoseconds // SECOND,
    },
)
STANDARD.function("uint", {(UInt,): _same, (int,): in_uint, (float,): _uint_of_double, (str,): _uint_of})
STANDARD.function("double", {(float,): _same, (int,): float, (UInt,): float, (str,): _double_of})
STANDARD.function("bool", {(bool,): _same, (str,): _bool_of})
STANDARD.function("bytes", {(bytes,): _same, (str,): lambda text: text.encode("utf-8", "surrogatepass")})
STANDARD.function(
    "string",
    {
        (str,): _same,
        (bool,): lambda value: "true" if value else "false",
        (int,): str,
        (UInt,): lambda value: str(int(value)),
        (float,): text_of_double,
        (bytes,): _text_of_bytes,
        (Timestamp,): str,
        (Duration,): str,
    },
)
STANDARD.function(
    "timestamp", {(Timestamp,): _same, (str,): Timestamp.parse, (int,): lambda seconds: Timestamp(seconds * SECOND)}
)
STANDARD.function(
    "duration", {(Duration,): _same, (str,): Duration.parse, (int,): lambda seconds: Duration(seconds * SECOND)}
)
