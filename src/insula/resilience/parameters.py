"""Parameters of policies, refused where they are given: each error names the parameter and what to write instead."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import TypeAlias

from insula.kernel.errors import Rejection

Seconds: TypeAlias = float | timedelta
ErrorClasses: TypeAlias = type[Exception] | tuple[type[Exception], ...]


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
        raise TypeError(f"{policy}: {name}={value!r} is no whole number; write one, such as {name}={max(least, 3)}")
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


def _number(policy: str, name: str, value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{policy}: {name}={value!r} is not {expected}")
    return float(value)
