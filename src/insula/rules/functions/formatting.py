"""`"%s".format([...])`. Source: cel-go, `ext/formatting.go`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from insula.rules.errors import EvaluationError, NoOverload
from insula.rules.functions.standard import text_of_double
from insula.rules.moments import Duration, Timestamp
from insula.rules.values import TypeValue, UInt, key_value, named

_CLAUSE = re.compile(r"%(?:(%)|(?:\.([0-9]{1,3}))?([a-zA-Z])|)")
_MOST_DIGITS = 100
_USUAL_DIGITS = 6
_WHOLE = (int, UInt)


def formatted(text: str, values: list[Any]) -> str:
    """The text with a value in the place of each clause. Raises EvaluationError for too few, NoOverload for others."""
    left = iter(values)

    def clause(found: re.Match[str]) -> str:
        if found[1]:
            return "%"
        write = _VERBS.get(found[3] or "")
        if write is None:
            raise EvaluationError(f"format: {found[0]!r} is no clause; there are %s %d %f %e %b %o %x %X and %%")
        try:
            value = next(left)
        except StopIteration:
            raise EvaluationError(f"format: there is no value for {found[0]}, the list has {len(values)}") from None
        digits = _USUAL_DIGITS if found[2] is None else int(found[2])
        if digits > _MOST_DIGITS:
            raise EvaluationError(f"format: {found[0]} asks for more than {_MOST_DIGITS} digits")
        return write(value, digits)

    return _CLAUSE.sub(clause, text)


def _text(value: Any, _: int = 0) -> str:
    kind = value.__class__
    if kind is list:
        return f"[{', '.join(map(_text, value))}]"
    if kind is dict:
        entries = sorted((_text(key_value(key)), _text(each)) for key, each in value.items())
        return f"{{{', '.join(f'{key}: {each}' for key, each in entries)}}}"
    if kind is float:
        return _special(value) or text_of_double(value)
    if kind is bytes:
        return value.decode(errors="replace")  # type: ignore[no-any-return]
    plain = _PLAIN.get(kind)
    if plain is None:
        raise NoOverload(f"format: %s does not write a {named(value)}")
    return plain(value)


_PLAIN: dict[type, Callable[[Any], str]] = {
    str: str,
    int: str,
    UInt: lambda value: str(int(value)),
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    Timestamp: str,
    Duration: str,
    TypeValue: lambda value: value.name,
}


def _special(value: float) -> str:
    """How a double is written that is no number, or infinite."""
    if math.isnan(value):
        return "NaN"
    return "" if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def _decimal(value: Any, _: int) -> str:
    if value.__class__ in _WHOLE:
        return str(int(value))
    if value.__class__ is float and (special := _special(value)):
        return special
    raise NoOverload(f"format: %d does not write a {named(value)}")


def _fixed(verb: str) -> Callable[[Any, int], str]:
    def write(value: Any, digits: int) -> str:
        if value.__class__ not in (float, *_WHOLE):
            raise NoOverload(f"format: %{verb} does not write a {named(value)}")
        number = float(value)
        return _special(number) or f"{number:.{digits}{verb}}"

    return write


def _in_base(verb: str) -> Callable[[Any, int], str]:
    def write(value: Any, _: int) -> str:
        if value.__class__ in _WHOLE or (verb == "b" and value.__class__ is bool):
            return format(int(value), verb)
        if verb in "xX" and value.__class__ in (str, bytes):
            data: bytes = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
            return data.hex().upper() if verb == "X" else data.hex()
        raise NoOverload(f"format: %{verb} does not write a {named(value)}")

    return write


_VERBS: dict[str, Callable[[Any, int], str]] = {"s": _text, "d": _decimal, "f": _fixed("f"), "e": _fixed("e")}
_VERBS |= {verb: _in_base(verb) for verb in "boxX"}
