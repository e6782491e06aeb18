"""How long the other side says to wait before the next attempt, in the forms in which it is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TypeAlias

from insula.kernel.clock import Clock

AskedWait: TypeAlias = float | timedelta | str | datetime | None
"""Seconds, a duration, the text of a Retry-After header (seconds or an HTTP date), a moment; None if nothing is said.
A moment without a time zone is in UTC."""


def asked_seconds(asked: object, clock: Clock) -> float:
    """The same in seconds from now, zero or more. What cannot be read comes from outside, and asks for nothing.

    Raises TypeError for what is none of these.
    Source: RFC 9110, section 10.2.3.
    """
    if asked is None or isinstance(asked, bool):
        return 0.0
    if isinstance(asked, str):
        asked = _read(asked.strip())
    if isinstance(asked, timedelta):
        asked = asked.total_seconds()
    elif isinstance(asked, datetime):
        moment = asked.replace(tzinfo=UTC) if asked.tzinfo is None else asked
        asked = (moment - clock.now()).total_seconds()
    if not isinstance(asked, (int, float)):
        raise TypeError(f"{asked!r} is no wait; give seconds, a timedelta, a datetime, the text of a header, or None")
    return float(asked) if 0 <= asked < inf else 0.0


def _read(text: str) -> float | datetime:
    try:
        return float(text)
    except ValueError:
        pass
    from email.utils import parsedate_to_datetime  # it loads a lot, and hardly anybody sends a date

    try:
        return parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0


def said_by(error: Exception) -> object:
    """What the error itself says: its `retry_after`, unless that is something else."""
    asked = getattr(error, "retry_after", None)
    return asked if isinstance(asked, (int, float, timedelta, str, datetime)) else None


def said_by_either(function: Callable[[Exception], AskedWait]) -> Callable[[Exception], object]:
    """What a user's function says about an error; where it says nothing, what the error itself does."""

    def said(error: Exception) -> object:
        asked = function(error)
        return said_by(error) if asked is None else asked

    return said
