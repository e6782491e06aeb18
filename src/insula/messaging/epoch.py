"""Positions that go on growing when a log does not: with the epoch of the log above them.

A module that is restored from a backup has lost the end of its log and gives its positions away again. Whoever had read
them would take the new messages for old ones, so what is published from then on is counted in a new epoch.
"""

from __future__ import annotations

from datetime import UTC, datetime

_LOG_BITS = 36
_IN_LOG = (1 << _LOG_BITS) - 1
_BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)
_MINUTE_SECONDS = 60


def published(position: int, epoch: int) -> int:
    """The position of a message as it is published."""
    return epoch << _LOG_BITS | position


def in_log(position: int) -> int:
    """The position in the log of a message that was published."""
    return position & _IN_LOG


def epoch_of(position: int) -> int:
    """The epoch of a position that was published; 0 until a log was first restored."""
    return position >> _LOG_BITS


def epoch_after(epoch: int, now: datetime) -> int:
    """A later epoch. One that comes of the time is not used again by a backup that is restored twice."""
    return max(epoch + 1, int((now - _BEGINNING).total_seconds()) // _MINUTE_SECONDS)
