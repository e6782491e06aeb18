"""What a hedge knows in one process: how long calls take, and how many it may begin beside them."""

from __future__ import annotations

from dataclasses import dataclass

from insula.resilience.latency_percentile import LatencyPercentile
from insula.resilience.policy import Locked, machine
from insula.resilience.retry_budget import Tokens

_WINDOW = 500
_LEAST_KNOWN = 100
_LOOK_AGAIN = 25


@dataclass(frozen=True, slots=True)
class HedgeSnapshot:
    """A hedge at one moment, for a dashboard.

    Parameters: `name`; `after_seconds`, when another attempt begins, None while too few latencies are known; `calls`,
    how many so far; `hedged`, how many attempts beside the first; `won`, how many of these answered first; `skipped`,
    how many did not begin for want of time or budget; `tokens`, how many may begin at once.
    """

    name: str
    after_seconds: float | None
    calls: int
    hedged: int
    won: int
    skipped: int
    tokens: float


class HedgeState(Locked):
    """The state of one hedge in one process. `after`, the delay in seconds, may be read without the lock.

    Parameters: `after`, the fixed delay, None where `percent` says which share of calls is not slow; `tokens`, its
    budget.
    """

    __slots__ = (
        "_calls",
        "_hedged",
        "_latencies",
        "_percent",
        "_skipped",
        "_tokens",
        "_typical",
        "_won",
        "after",
        "clock",
    )

    def __init__(self, after: float | None, percent: float | None, tokens: Tokens) -> None:
        super().__init__()
        self.clock = machine.current().clock
        self.after = after
        self._percent = percent
        self._tokens = tokens
        self._latencies = LatencyPercentile(_WINDOW)
        self._typical = 0.0
        self._calls = self._hedged = self._won = self._skipped = 0

    def begin(self) -> float:
        """A call begins; the moment."""
        self._tokens.count_call()
        with self.lock:
            self._calls += 1
        return self.clock.monotonic()

    def why_not(self, left: float) -> str | None:
        """Take a token for another attempt, which has so many seconds; or say why it may not begin."""
        because = None
        if left <= self._typical:
            because = f"only {max(left, 0.0):.3g} s are left, and half of the calls take {self._typical:.3g} s or more"
        elif not self._tokens.take():
            because = "the budget is used up"
        with self.lock:
            self._hedged += because is None
            self._skipped += because is not None
        return because

    def observe(self, seconds: float) -> None:
        """How long a first attempt took."""
        with self.lock:
            known = self._latencies
            known.observe(seconds)
            if len(known) >= _LEAST_KNOWN and len(known) % _LOOK_AGAIN == 0:
                self._typical = known.percentile(50)
                if self._percent is not None:
                    self.after = known.percentile(self._percent)

    def count_win(self) -> None:
        """A later attempt has answered first."""
        with self.lock:
            self._won += 1

    def snapshot(self, name: str) -> HedgeSnapshot:
        """How it is now."""
        tokens = self._tokens.left()
        with self.lock:
            return HedgeSnapshot(name, self.after, self._calls, self._hedged, self._won, self._skipped, tokens)
