"""The types that a flag's value may be asked for."""

from __future__ import annotations

from typing import Any, Literal

Kind = Literal["boolean", "string", "number", "integer", "float", "object"]

_CLASSES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "float": (float, int),
    "object": (dict, list),
}
KINDS = tuple(_CLASSES)


class Unfit(Exception):  # never leaves this package
    """A value is not of the type that it is asked for."""


def fits(value: Any, kind: Kind) -> bool:
    """Whether a value is of that type: a bool is an int to Python, and no number to anybody else."""
    return value.__class__ in _CLASSES.get(kind, ())


def fitted(value: Any, kind: Kind) -> Any:
    """The value as that type: an integer may stand for a float. Raises `Unfit`."""
    if not fits(value, kind):
        raise Unfit
    if kind == "float":
        return _as_float(value)
    return own_copy(value)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise Unfit from None


def own_copy(value: Any) -> Any:
    """A value that its reader may change without changing the flag's."""
    if value.__class__ is dict:
        return {key: own_copy(each) for key, each in value.items()}
    if value.__class__ is list:
        return [own_copy(each) for each in value]
    return value
