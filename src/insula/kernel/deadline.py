"""The moment until which an answer is of use."""

from __future__ import annotations

from dataclasses import dataclass

from insula.kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on one process's monotonic clock; between processes the remaining time travels instead.

    Parameters: `at`, seconds on the monotonic clock.
    """

    at: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Deadline:
        """The deadline that many seconds from now."""
        return cls(clock.monotonic() + seconds)

    def remaining(self, clock: Clock) -> float:
        """Seconds left; zero once it is over."""
        return max(0.0, self.at - clock.monotonic())

    def expired(self, clock: Clock) -> bool:
        """Whether no time is left."""
        return clock.monotonic() >= self.at
