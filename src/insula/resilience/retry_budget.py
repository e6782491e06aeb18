"""How many retries a process affords, so that a failing neighbour does not get several times the load."""

from __future__ import annotations

from itertools import count

from insula.resilience.parameters import amount, share
from insula.resilience.policy import Locked, PerProcess, machine


class RetryBudget:
    """Bounds retries to a share of the calls; one budget may serve several `Retry` policies.

    A bucket of tokens for each process: a call adds `ratio`, every second adds `minimum_per_second`, a retry takes one
    before it starts to wait, so that waiting retries count. Without a token the last error is raised at once.

    Parameters: `ratio` of retries to calls (default 0.2); `minimum_per_second` (default 1), so that rare calls may be
    retried at all; `burst`, how many tokens are saved at most, and there at the start (default 100).
    Source: Finagle's `RetryBudget`; Envoy counts retries that wait the same way.
    """

    def __init__(self, ratio: float = 0.2, minimum_per_second: float = 1.0, burst: float = 100.0) -> None:
        kind = type(self).__name__
        self.ratio = share(kind, "ratio", ratio, most=10.0)
        self.minimum_per_second = amount(kind, "minimum_per_second", minimum_per_second)
        self.burst = amount(kind, "burst", burst, least=1.0)
        self.tokens: PerProcess[Tokens] = PerProcess(lambda: Tokens(self))


class Tokens(Locked):
    """One process's bucket. Calls are only counted; the sum is drawn when somebody takes a token."""

    __slots__ = ("_budget", "_clock", "_counted", "_looks", "_now", "_tokens", "count_call")

    def __init__(self, budget: RetryBudget) -> None:
        super().__init__()
        self._budget = budget
        self._clock = machine.current().monotonic
        # Of all ways to count from many threads without a lock, this is the one that loses nothing.
        self.count_call = count(1).__next__
        self._looks = 0
        self._counted = 0
        self._now = self._clock()
        self._tokens = budget.burst

    def take(self) -> bool:
        """Take a token for a retry, if there is one."""
        with self.lock:
            self._fill()
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def left(self) -> float:
        """How many there are, for a dashboard."""
        with self.lock:
            self._fill()
            return self._tokens

    def _fill(self) -> None:
        now, budget = self._clock(), self._budget
        # Looking at the counter counts, too.
        calls = self.count_call() - 1 - self._looks
        self._looks += 1
        earned = budget.ratio * (calls - self._counted) + budget.minimum_per_second * (now - self._now)
        self._tokens = min(budget.burst, self._tokens + earned)
        self._counted, self._now = calls, now
