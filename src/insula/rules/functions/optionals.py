"""Values that may be missing. Source: cel-go, `cel.OptionalTypes`."""

from __future__ import annotations

from typing import Any

from insula.rules.errors import EvaluationError
from insula.rules.functions.registry import Functions
from insula.rules.values import NONE, OptionalValue, is_zero

OPTIONALS = Functions()


def _value(optional: OptionalValue) -> Any:
    if not optional.present:
        raise EvaluationError("value() of an optional that is none; orValue(...) gives another one instead")
    return optional.value


def _unwrapped(optionals: list[Any]) -> list[Any]:
    return [each.value for each in optionals if each.present]


OPTIONALS.of_anything("optional.of", OptionalValue)
OPTIONALS.of_anything("optional.ofNonZeroValue", lambda value: NONE if is_zero(value) else OptionalValue(value))
OPTIONALS.function("optional.none", {(): lambda: NONE})
OPTIONALS.function("optional.unwrap", {(list,): _unwrapped})
OPTIONALS.method("unwrapOpt", {(list,): _unwrapped})
OPTIONALS.method("hasValue", {(OptionalValue,): lambda optional: optional.present})
OPTIONALS.method("value", {(OptionalValue,): _value})
OPTIONALS.method("first", {(list,): lambda values: OptionalValue(values[0]) if values else NONE})
OPTIONALS.method("last", {(list,): lambda values: OptionalValue(values[-1]) if values else NONE})
