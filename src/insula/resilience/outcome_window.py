"""The last calls of a breaker, by number or by time: how many there were, failed, and were slow. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

_SLICES = 10


@dataclass(frozen=True, slots=True)
class Totals:
    """What a window holds."""

    calls: int = 0
    failures: int = 0
    slow: int = 0


class OutcomeWindow(Protocol):
    """Calls and their outcomes, the oldest of which drop out."""

    def add(self, now: float, failed: bool, slow: bool) -> int:
        """Note a call; returns a handle for `fail`."""
        ...

    def fail(self, handle: int) -> None:
        """A call that was noted while it still ran has failed; nothing if it dropped out since."""

    def totals(self, now: float) -> Totals:
        """What the window holds now."""
        ...


class CallWindow:
    """The last calls, by number. Parameters: `size`, how many."""

    __slots__ = ("_added", "_calls", "_failures", "_size", "_slow")

    def __init__(self, size: int) -> None:
        self._size = size
        self._calls: list[list[bool]] = []
        self._added = self._failures = self._slow = 0

    def add(self, now: float, failed: bool, slow: bool) -> int:
        """Note a call."""
        place = self._added % self._size
        if len(self._calls) < self._size:
            self._calls.append([failed, slow])
        else:
            was_failed, was_slow = self._calls[place]
            self._failures -= was_failed
            self._slow -= was_slow
            self._calls[place] = [failed, slow]
        self._failures += failed
        self._slow += slow
        self._added += 1
        return self._added - 1

    def fail(self, handle: int) -> None:
        """Note that it failed after all."""
        call = self._calls[handle % self._size]
        if handle >= self._added - self._size and not call[0]:
            call[0] = True
            self._failures += 1

    def totals(self, now: float) -> Totals:
        """What the window holds."""
        return Totals(len(self._calls), self._failures, self._slow)


class TimeWindow:
    """The calls of the last seconds, in ten slices, so that its size does not depend on their number."""

    __slots__ = ("_slice_seconds", "_slices")

    def __init__(self, seconds: float) -> None:
        self._slice_seconds = seconds / _SLICES
        self._slices: dict[int, list[int]] = {}

    def add(self, now: float, failed: bool, slow: bool) -> int:
        """Note a call."""
        self._drop_old(now)
        number = int(now // self._slice_seconds)
        counts = self._slices.setdefault(number, [0, 0, 0])
        counts[0] += 1
        counts[1] += failed
        counts[2] += slow
        return number

    def fail(self, handle: int) -> None:
        """Note that it failed after all."""
        if handle in self._slices:
            self._slices[handle][1] += 1

    def totals(self, now: float) -> Totals:
        """What the window holds."""
        self._drop_old(now)
        sums = [sum(column) for column in zip(*self._slices.values(), strict=True)] or [0, 0, 0]
        return Totals(*sums)

    def _drop_old(self, now: float) -> None:
        oldest = int(now // self._slice_seconds) - _SLICES + 1
        for number in [each for each in self._slices if each < oldest]:
            del self._slices[number]
