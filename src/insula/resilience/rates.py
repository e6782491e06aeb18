"""How much of its rate each key has used, in one process. Nobody waits here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from insula.kernel.errors import Unavailable
from insula.resilience.policy import Locked, machine


class RateLimited(Unavailable, status=429):
    """Too many calls; this one did not take place. `retry_after` says when it may."""


@dataclass(frozen=True, slots=True)
class RateSnapshot:
    """A rate limiter at one moment, for a dashboard.

    Parameters: `name`; `keys`, how many are remembered; `refused`, how many calls so far; `forgotten`, how many keys
    had to be forgotten too early, since there were more than fit: if it grows, allow more.
    """

    name: str
    keys: int
    refused: int
    forgotten: int


class Rates(Locked):
    """For each key the moment at which its allowance will be whole again, in the order in which calls came.

    That one number is all there is to know (GCRA calls it the theoretical arrival time). A key whose moment is over
    may as well be unknown. Every call that passes looks whether the two oldest ones are such, so that nobody has to
    sweep, and what is kept for nothing becomes less with every call.

    Parameters: `interval`, seconds between two calls at full rate; `tolerance`, how much earlier one may come, in
    seconds; `most_keys`.
    """

    __slots__ = (
        "_interval",
        "_monotonic",
        "_most_keys",
        "_slack",
        "_tolerance",
        "_whole_again",
        "forgotten",
        "refused",
    )

    def __init__(self, interval: float, tolerance: float, most_keys: int) -> None:
        super().__init__()
        self._interval = interval
        self._tolerance = tolerance
        # Sums of floats must not refuse the last call of a burst, nor one that comes back when it was told to.
        self._slack = max(interval * 1e-6, 1e-9)
        self._most_keys = most_keys
        self._monotonic = machine.current().monotonic
        self._whole_again: OrderedDict[Hashable, float] = OrderedDict()
        self.refused = 0
        self.forgotten = 0

    def take(self, key: Hashable, patience: float = 0.0) -> float:
        """Seconds until this call may take place, zero for at once; it is counted if its patience is that long.

        Parameters: `key`; `patience`, in seconds. Raises TypeError for a key that cannot be hashed.
        """
        whole_again = self._whole_again
        with self.lock:
            now = self._monotonic()
            moment = whole_again.get(key, now)
            if moment < now:
                moment = now
            wait = moment - self._tolerance - now
            if wait <= self._slack:
                wait = 0.0
            elif wait > patience:
                return wait
            whole_again[key] = moment + self._interval
            whole_again.move_to_end(key)
            oldest = next(iter(whole_again))
            if whole_again[oldest] <= now:
                self._forget(now)
            elif len(whole_again) > self._most_keys:
                del whole_again[oldest]
                self.forgotten += 1
        return wait

    def wait_of(self, key: Hashable) -> float:
        """The same for a call that is only thought of."""
        with self.lock:
            now = self._monotonic()
            wait = self._whole_again.get(key, now) - self._tolerance - now
            return 0.0 if wait <= self._slack else wait

    def refuse(self) -> None:
        """Count a call that does not take place."""
        with self.lock:
            self.refused += 1

    def _forget(self, now: float) -> None:
        """Forget the oldest key, and the one after it if that is whole again as well."""
        whole_again = self._whole_again
        whole_again.popitem(last=False)
        oldest = next(iter(whole_again), None)
        if oldest is not None and whole_again[oldest] <= now:
            whole_again.popitem(last=False)

    def snapshot(self, name: str) -> RateSnapshot:
        """How it is now."""
        with self.lock:
            return RateSnapshot(name, len(self._whole_again), self.refused, self.forgotten)
