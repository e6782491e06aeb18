"""Parameters are refused where they are given, by name."""

from __future__ import annotations

from datetime import timedelta
from math import isfinite
from typing import TypeVar

from insula.kernel.clock import Clock
from insula.kernel.context import clock_of_process
from insula.streams.overflow import Overflow

Function = TypeVar("Function")


def whole_number(owner: str, name: str, value: int) -> int:
    """A count of at least one. Raises TypeError for anything but an int, ValueError for less than one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{owner}: {name}={value!r} is no whole number; write a count such as {name}=10")
    if value < 1:
        raise ValueError(f"{owner}: {name}={value} is less than one; write {name}=1 or more")
    return value


def duration(owner: str, name: str, value: float | timedelta) -> float:
    """Seconds more than zero. Raises TypeError for anything but a number or a timedelta, ValueError for the rest."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{owner}: {name}={value!r} is no duration; write seconds or a timedelta")
    if not isfinite(seconds) or seconds <= 0:
        raise ValueError(f"{owner}: {name}={value!r} is no time that passes; write a number of seconds above zero")
    return float(seconds)


def strategy(owner: str, overflow: Overflow) -> Overflow:
    """One of the five. Raises TypeError for anything else."""
    if not isinstance(overflow, Overflow):
        raise TypeError(f"{owner}: overflow={overflow!r} is no strategy; choose one of {list(Overflow)}")
    return overflow


def a_callable(owner: str, name: str, value: Function, example: str) -> Function:
    """What can be called. Raises TypeError for anything else, which says what to write."""
    if not callable(value):
        raise TypeError(f"{owner}: {name}={value!r} is no function; write it as in {example}")
    return value


def clock_of(clock: Clock | None) -> Clock:
    """The clock that was given, or that of the running process."""
    return clock or clock_of_process()


def callable_name(function: object) -> str:
    """How a user's function is called in names of stages."""
    return str(getattr(function, "__name__", type(function).__name__))
