"""How long to wait between attempts. Pure: chance is given, and nobody waits here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

from insula.kernel.randomness import Randomness
from insula.resilience.parameters import Seconds, amount, seconds, user_function

Jitter = Literal["full", "equal", "decorrelated", "none"]


class Backoff(Protocol):
    """A rule for the wait before the next attempt."""

    def delay(self, attempt: int, previous: float, randomness: Randomness) -> float:
        """Seconds to wait after attempt number `attempt` failed; `previous` is the wait before it, 0 at first."""
        ...


AnyBackoff: TypeAlias = Backoff | Callable[[int], float]
"""A rule, or a function of the number of the attempt that failed, from 1, to seconds."""


@dataclass(frozen=True, slots=True, init=False)
class ExponentialBackoff:
    """Waits that grow with each attempt, spread by chance so that callers do not come back all at once.

    Parameters: `first_seconds` (default 0.1), multiplied by `factor` (default 2) at each attempt up to
    `longest_seconds` (default 30); `jitter` "full" (default): anything between nothing and that; "equal": between half
    and all of it; "decorrelated": between the first and three times the wait before; "none".
    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """

    first_seconds: float
    factor: float
    longest_seconds: float
    jitter: Jitter

    def __init__(
        self,
        first_seconds: Seconds = 0.1,
        factor: float = 2.0,
        longest_seconds: Seconds = 30.0,
        jitter: Jitter = "full",
    ) -> None:
        kind = type(self).__name__
        if jitter not in get_args(Jitter):
            raise ValueError(f"{kind}: jitter={jitter!r} is unknown; write one of {', '.join(get_args(Jitter))}")
        first, longest = (
            seconds(kind, "first_seconds", first_seconds),
            seconds(kind, "longest_seconds", longest_seconds),
        )
        if longest < first:
            raise ValueError(f"{kind}: longest_seconds={longest:g} is less than first_seconds={first:g}; swap them")
        object.__setattr__(self, "first_seconds", first)
        object.__setattr__(self, "factor", amount(kind, "factor", factor, least=1.0))
        object.__setattr__(self, "longest_seconds", longest)
        object.__setattr__(self, "jitter", jitter)

    def delay(self, attempt: int, previous: float, randomness: Randomness) -> float:
        """Seconds to wait after attempt number `attempt` failed."""
        if self.jitter == "decorrelated":
            top = max(self.first_seconds, 3 * previous)
            return min(self.longest_seconds, self.first_seconds + randomness.random() * (top - self.first_seconds))
        whole = self._without_jitter(attempt)
        if self.jitter == "full":
            return whole * randomness.random()
        if self.jitter == "equal":
            return whole / 2 + whole / 2 * randomness.random()
        return whole

    def _without_jitter(self, attempt: int) -> float:
        try:
            return min(self.longest_seconds, self.first_seconds * self.factor ** (attempt - 1))
        except OverflowError:
            return self.longest_seconds


@dataclass(frozen=True, slots=True, init=False)
class ConstantBackoff:
    """The same wait before every attempt.

    Parameters: `wait_seconds`, zero or more; `jitter_seconds`, up to how much chance adds (default 0).
    """

    wait_seconds: float
    jitter_seconds: float

    def __init__(self, wait_seconds: Seconds, jitter_seconds: Seconds = 0.0) -> None:
        kind = type(self).__name__
        object.__setattr__(self, "wait_seconds", seconds(kind, "wait_seconds", wait_seconds, zero=True))
        object.__setattr__(self, "jitter_seconds", seconds(kind, "jitter_seconds", jitter_seconds, zero=True))

    def delay(self, attempt: int, previous: float, randomness: Randomness) -> float:
        """Seconds to wait after any attempt."""
        if not self.jitter_seconds:
            return self.wait_seconds
        return self.wait_seconds + self.jitter_seconds * randomness.random()


class _OfFunction:
    """A user's function as a rule; what it returns is checked, since it is waited for."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[int], float]) -> None:
        self._function = function

    def delay(self, attempt: int, previous: float, randomness: Randomness) -> float:
        return seconds("Retry", f"backoff({attempt})", self._function(attempt), zero=True)


def backoff_of(policy: str, value: object) -> Backoff:
    """The rule that a parameter names. Raises TypeError for what is none."""
    if hasattr(value, "delay") and not isinstance(value, type):
        return value
    if callable(value) and not isinstance(value, type):
        user_function(policy, "backoff", value, "a function of the attempt's number to seconds", "a number")
        return _OfFunction(value)
    raise TypeError(
        f"{policy}: backoff={value!r} is none; write ExponentialBackoff(...), ConstantBackoff(0.5) or a function of "
        "the attempt's number to seconds"
    )
