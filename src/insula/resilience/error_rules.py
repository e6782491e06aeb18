"""Which errors a policy acts on: `on=` has one shape for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import TypeAlias

from insula.resilience.parameters import ErrorClasses, error_classes, user_function

Errors: TypeAlias = ErrorClasses | Callable[[Exception], bool]
"""A class of errors, several, or a function of the error to bool."""

_EXPECTED = "a class of errors, several in a tuple, or a function of the error to bool"


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """Parameters: `classes`, those that were named, none for a function; `caught`, what to catch; `matches`."""

    classes: tuple[type[Exception], ...]
    caught: tuple[type[Exception], ...]
    matches: Callable[[Exception], bool]


def error_rule(policy: str, on: Errors) -> ErrorRule:
    """The rule that `on=` says. Raises TypeError for what is none, ValueError where it is empty."""
    if callable(on) and not isinstance(on, (type, UnionType)):
        user_function(policy, "on", on, _EXPECTED, "an error")
        return ErrorRule((), (Exception,), on)
    classes = error_classes(policy, "on", on)
    if not classes:
        raise ValueError(f"{policy}: on= is empty; write such as on=ConnectionError")
    return ErrorRule(classes, classes, lambda error: isinstance(error, classes))
