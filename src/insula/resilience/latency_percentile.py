"""How long most calls took lately, in a few hundred counters whatever their number. Pure."""

from __future__ import annotations

from itertools import accumulate
from math import ceil, log
from operator import add

GROWTH = 1.1
"""Each class of latencies ends this many times later than the one before."""
_SHORTEST_SECONDS, _LONGEST_SECONDS = 1e-6, 1e4
_PER_CLASS = 1 / log(GROWTH)
_LOWEST = ceil(log(_SHORTEST_SECONDS) * _PER_CLASS)
_CLASSES = ceil(log(_LONGEST_SECONDS) * _PER_CLASS) - _LOWEST + 1


class LatencyPercentile:
    """Percentiles of the last latencies: never below the true one, and at most a tenth above it.

    Latencies are counted in classes, each a tenth wider than the one before, from a microsecond to hours; what lies
    beyond counts in the last one. When `window` of them are counted they become the older half, and those that were
    it are forgotten: an answer rests on the last `window` to twice as many.

    Parameters: `window`, how many latencies a half has.
    Source: C. Masson, J. E. Rim, H. K. Lee, "DDSketch", VLDB 2019.
    """

    __slots__ = ("_newer", "_newer_count", "_older", "_older_count", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._newer, self._older = [0] * _CLASSES, [0] * _CLASSES
        self._newer_count = self._older_count = 0

    def observe(self, seconds: float) -> None:
        """Count a latency."""
        if self._newer_count == self._window:
            self._older, self._newer = self._newer, [0] * _CLASSES
            self._older_count, self._newer_count = self._newer_count, 0
        self._newer[_class_of(seconds)] += 1
        self._newer_count += 1

    def __len__(self) -> int:
        return self._older_count + self._newer_count

    def percentile(self, percent: float) -> float:
        """The latency, in seconds, that so many percent did not exceed. Raises ValueError if there is none yet."""
        if not len(self):
            raise ValueError("LatencyPercentile: no latency was observed yet")
        rank = ceil(percent / 100 * len(self))
        up_to = accumulate(map(add, self._older, self._newer))
        number = next(number for number, count in enumerate(up_to) if count >= rank)
        return float(GROWTH ** (number + _LOWEST))


def _class_of(seconds: float) -> int:
    within = min(max(seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS)
    return ceil(log(within) * _PER_CLASS) - _LOWEST
