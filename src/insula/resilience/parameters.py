"""Parameters of policies, refused where they are given: each error names the parameter and what to write instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from types import UnionType
from typing import Any, TypeAlias, get_args

from insula.kernel.errors import Rejection
from insula.resilience.functions import is_async, name_of

Seconds: TypeAlias = float | timedelta
ErrorClasses: TypeAlias = type[Exception] | tuple[type[Exception], ...] | UnionType


def seconds(policy: str, name: str, value: Seconds, *, zero: bool = False) -> float:
    """A duration in seconds: finite, and above zero unless `zero` may be."""
    if isinstance(value, timedelta):
        return seconds(policy, name, value.total_seconds(), zero=zero)
    number = _number(policy, name, value, "a number of seconds or a timedelta")
    if number < 0 or (number == 0 and not zero) or not math.isfinite(number):
        least = "zero or more" if zero else "more than zero"
        raise ValueError(f"{policy}: {name}={value!r} is no duration; write {least} and finite, such as {name}=2.5")
    return number


def whole(policy: str, name: str, value: int, *, least: int = 1) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"{policy}: {name}={value!r} is no whole number; write one, such as {name}={max(least, 3)}"
            f"{_or_parentheses(policy, value)}"
        )
    if value < least:
        raise ValueError(f"{policy}: {name}={value} is too small; write {least} or more")
    return value


def share(policy: str, name: str, value: float, *, most: float = 1.0) -> float:
    """A share: above zero, at most `most`."""
    number = _number(policy, name, value, "a share")
    if not 0 < number <= most:
        raise ValueError(f"{policy}: {name}={value!r} is no share; write more than 0 and at most {most:g}, such as 0.5")
    return number


def percent(policy: str, name: str, value: float) -> float:
    """A percentage from 50 to below 100, for what only the slow end of something is about."""
    number = _number(policy, name, value, "a percentage")
    if not 50 <= number < 100:
        raise ValueError(f"{policy}: {name}={value!r} is out of range; write 50 or more and less than 100, such as 95")
    return number


def amount(policy: str, name: str, value: float, *, least: float = 0.0) -> float:
    """A finite number of at least `least`."""
    number = _number(policy, name, value, "a number")
    if number < least or not math.isfinite(number):
        raise ValueError(f"{policy}: {name}={value!r} is out of range; write {least:g} or more, and finite")
    return number


def error_classes(policy: str, name: str, value: object) -> tuple[type[Exception], ...]:
    """Classes of errors; never of rejections, which are answers, nor of what ends a program or a task."""
    if isinstance(value, UnionType):
        value = get_args(value)
    classes = tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, type)) else (value,)
    for each in classes:
        if not isinstance(each, type) or not issubclass(each, BaseException):
            raise TypeError(f"{policy}: {name}={each!r} is no class of errors; write such as {name}=ConnectionError")
        if issubclass(each, Rejection):
            raise TypeError(
                f"{policy}: {name}={each.__name__} is a Rejection: business said no, which is an answer; leave it out"
            )
        if not issubclass(each, Exception):
            raise TypeError(
                f"{policy}: {name}={each.__name__} ends a program or a task, and must pass; name a class of Exception"
            )
    return classes


def user_function(policy: str, name: str, function: object, expected: str, *takes: str) -> None:
    """Refuse what cannot be called the way a policy calls it, or has to be awaited.

    Parameters: `expected`, what to give instead; `takes`, what the policy calls it with, one text for each argument.
    """
    check_arguments(policy, name, plain_function(policy, name, function, expected), expected, *takes)


def plain_function(policy: str, name: str, function: object, expected: str) -> Callable[..., Any]:
    """A function that is called, and never awaited."""
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"{policy}: {name}={function!r} cannot be called; give {expected}")
    if is_async(function):
        raise TypeError(
            f"{policy}: {name}={name_of(function)} is async, and nobody would await it; give {expected} that is plain"
        )
    return function


def check_arguments(policy: str, name: str, function: Callable[..., Any], expected: str, *takes: str) -> None:
    """Refuse a function that does not take what a policy calls it with."""
    from inspect import signature

    try:
        called = signature(function)
    except (ValueError, TypeError):
        return  # of some built-in functions nobody knows
    try:
        called.bind(*takes)
    except TypeError:
        given = f"with {' and '.join(takes)}" if takes else "without arguments"
        raise TypeError(
            f"{policy}: {name}={name_of(function)} takes {called}, and is called {given}; give {expected}. If it is "
            f"the function to be decorated, write the parentheses first: @{policy}(...)"
        ) from None


def _number(policy: str, name: str, value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{policy}: {name}={value!r} is not {expected}{_or_parentheses(policy, value)}")
    return float(value)


def _or_parentheses(policy: str, value: object) -> str:
    """What to say where `@Policy` stands above a function, which then is the first parameter."""
    return f". To decorate {name_of(value)}, write the parentheses: @{policy}(...)" if callable(value) else ""
