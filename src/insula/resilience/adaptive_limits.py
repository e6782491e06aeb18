"""Limits that find out by themselves how many calls at once a callee bears. Pure: times are given, nobody waits here.

Both look at calls in rounds of about as many as run at once, so that they judge once for each time that the callee
takes to answer, as TCP does, and one slow call does not count for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Protocol

from insula.resilience.parameters import Seconds, amount, seconds, share, whole

_LEAST_CALLS = 10
_USED_SHARE = 0.5
_AFTER_OVERLOAD = 0.9

_LEAST_GRADIENT = 0.5
_STEP = 0.2
_FASTER_WEIGHT, _SLOWER_WEIGHT = 0.5, 0.1
_FEW = 5.0
_ROUNDS_UNTIL_QUIET = 100


class LimitState(Protocol):
    """A limit in one process, which learns from each call. `limit` is how many may run at once now."""

    limit: int

    def observe(self, call_seconds: float, running: int, overloaded: bool) -> int:
        """A call has ended after that time, one of so many that ran; the limit from now on.

        `overloaded`: it ended by running out of time, or since the callee is overloaded.
        """
        ...


class AdaptiveLimit(Protocol):
    """A rule for the limit of a `Bulkhead`. Parameters: `maximum`, which no limit of it exceeds."""

    @property
    def maximum(self) -> int:
        """The highest limit."""
        ...

    def start(self) -> LimitState:
        """The limit of a process that has just begun."""
        ...


@dataclass(frozen=True, slots=True, init=False)
class AimdLimit:
    """Adds one while all goes well, and takes a share away at each sign of overload, as TCP does.

    A sign is a call that took `slow_seconds` or longer, ran out of time, or ended with `Unavailable`. The limit grows
    only while at least half of it is used.

    Parameters: `initial` (default 20), `minimum` (default 1) and `maximum` (default 200) limits; `decrease`, by which
    it is multiplied after overload (default 0.9); `slow_seconds` (default: however long a call takes).
    Source: D. Chiu, R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance", 1989;
    Netflix concurrency-limits, `AIMDLimit`.
    """

    initial: int
    minimum: int
    maximum: int
    decrease: float
    slow_seconds: float

    def __init__(
        self,
        initial: int = 20,
        minimum: int = 1,
        maximum: int = 200,
        *,
        decrease: float = _AFTER_OVERLOAD,
        slow_seconds: Seconds | None = None,
    ) -> None:
        kind = type(self).__name__
        _set_bounds(self, initial, minimum, maximum)
        if share(kind, "decrease", decrease) == 1:
            raise ValueError(f"{kind}: decrease={decrease!r} takes nothing away; write less than 1, such as 0.9")
        object.__setattr__(self, "decrease", float(decrease))
        slow = inf if slow_seconds is None else seconds(kind, "slow_seconds", slow_seconds)
        object.__setattr__(self, "slow_seconds", slow)

    def start(self) -> LimitState:
        """The limit of a process that has just begun."""
        return _Aimd(self)


@dataclass(frozen=True, slots=True, init=False)
class GradientLimit:
    """Follows how long calls take: where they take longer than usual, callers queue inside the callee, and it falls.

    After each round the limit moves towards `limit * gradient + sqrt(limit)`; the gradient is `tolerance` times the
    usual duration by the present one, between 0.5 and 1. The limit grows only while at least half of it is used. What
    is usual follows faster calls at once, slower ones only while too few calls run to be the cause: so a callee that
    is overloaded for hours does not become usual. To find out, after 100 crowded rounds a few run with a limit of 5
    (or `minimum`). A round in which a call ran out of time, or ended with `Unavailable`, takes a tenth away.

    Parameters: `initial` (default 20), `minimum` (default 1) and `maximum` (default 200) limits; `tolerance`, how many
    times longer than usual is still fine (default 1.5).
    Source: Netflix concurrency-limits, `Gradient2Limit` (there, what is usual is a long average of all calls); the
    quiet rounds are those of BBR: N. Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016.
    """

    initial: int
    minimum: int
    maximum: int
    tolerance: float

    def __init__(self, initial: int = 20, minimum: int = 1, maximum: int = 200, *, tolerance: float = 1.5) -> None:
        _set_bounds(self, initial, minimum, maximum)
        object.__setattr__(self, "tolerance", amount(type(self).__name__, "tolerance", tolerance, least=1.0))

    def start(self) -> LimitState:
        """The limit of a process that has just begun."""
        return _Gradient(self)


def _set_bounds(rule: AimdLimit | GradientLimit, initial: int, minimum: int, maximum: int) -> None:
    kind = type(rule).__name__
    least, most = whole(kind, "minimum", minimum), whole(kind, "maximum", maximum)
    if most < least:
        raise ValueError(f"{kind}: maximum={most} is below minimum={least}; swap them")
    if not least <= whole(kind, "initial", initial) <= most:
        raise ValueError(f"{kind}: initial={initial} is not between minimum={least} and maximum={most}")
    for name, value in (("initial", initial), ("minimum", least), ("maximum", most)):
        object.__setattr__(rule, name, value)


class _Rounds:
    """Calls in rounds; `_next` decides at the end of each."""

    __slots__ = ("_calls", "_good", "_maximum", "_minimum", "_most_running", "_total", "_value", "limit")

    def __init__(self, rule: AimdLimit | GradientLimit) -> None:
        self._minimum, self._maximum = rule.minimum, rule.maximum
        self._value = float(rule.initial)
        self.limit = rule.initial
        self._begin()

    def _begin(self) -> None:
        self._calls = self._good = self._most_running = 0
        self._total = 0.0

    def observe(self, call_seconds: float, running: int, overloaded: bool) -> int:
        """Judge at the end of a round."""
        self._calls += 1
        self._most_running = max(self._most_running, running)
        if not overloaded:
            self._good += 1
            self._total += call_seconds
        if self._calls >= max(_LEAST_CALLS, self.limit):
            self._value = min(max(self._next(), self._minimum), self._maximum)
            self.limit = int(self._value)
            self._begin()
        return self.limit

    @property
    def _is_used(self) -> bool:
        return self._most_running >= _USED_SHARE * self._value

    def _next(self) -> float:
        raise NotImplementedError


class _Aimd(_Rounds):
    __slots__ = ("_rule",)

    def __init__(self, rule: AimdLimit) -> None:
        super().__init__(rule)
        self._rule = rule

    def observe(self, call_seconds: float, running: int, overloaded: bool) -> int:
        """Slow calls count as overload."""
        return super().observe(call_seconds, running, overloaded or call_seconds >= self._rule.slow_seconds)

    def _next(self) -> float:
        if self._good < self._calls:
            return self._value * self._rule.decrease
        return self._value + 1 if self._is_used else self._value


class _Gradient(_Rounds):
    __slots__ = ("_crowded", "_draining", "_kept", "_tolerance", "_usual")

    def __init__(self, rule: GradientLimit) -> None:
        super().__init__(rule)
        self._tolerance = rule.tolerance
        self._usual: float | None = None
        self._crowded = 0
        self._kept: float | None = None  # the limit to come back to from quiet rounds
        self._draining = 0

    @property
    def _few(self) -> float:
        return max(_FEW, self._minimum)

    def _next(self) -> float:
        if self._good < self._calls:
            self._kept = self._kept and self._kept * _AFTER_OVERLOAD
            return self._value * _AFTER_OVERLOAD
        present = self._total / self._calls
        if self._kept is not None:
            return self._in_quiet_round(present, self._kept)
        usual, value = self._learn(present), self._value
        gradient = 1.0 if present <= 0 else min(1.0, max(_LEAST_GRADIENT, self._tolerance * usual / present))
        self._crowded = self._crowded + 1 if gradient < 1 and value > self._few else 0
        if self._crowded > _ROUNDS_UNTIL_QUIET:
            # Those that began among many others end first.
            self._kept, self._draining = value, 1 + int(value / _LEAST_CALLS)
            return self._few
        target = value * gradient + sqrt(value)
        if target > value and not self._is_used:
            return value
        return value + _STEP * (target - value)

    def _in_quiet_round(self, present: float, kept: float) -> float:
        if self._draining:
            self._draining -= 1
            return self._value
        self._usual = present
        self._kept, self._crowded = None, 0
        return kept

    def _learn(self, present: float) -> float:
        usual = present if self._usual is None else self._usual
        if present < usual:
            usual += _FASTER_WEIGHT * (present - usual)
        # Otherwise a limit that has become too low for a callee that has become slower would stay so for ever.
        elif not self._is_used or self._value <= self._few:
            usual += _SLOWER_WEIGHT * (present - usual)
        self._usual = usual
        return usual
