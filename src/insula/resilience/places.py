"""The places of a bulkhead in one process, and the line before them. Nobody waits here; no lock is held meanwhile."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from insula.resilience.adaptive_limits import LimitState
from insula.resilience.policy import Locked

Free: TypeAlias = list[None]
"""The free places. Taking one from a list and putting it back are each one step, so that neither needs the lock."""


class Waiter(Protocol):
    """Somebody in the line. Parameters: `has_place`, set when its turn comes; `free`, where its place belongs."""

    has_place: bool
    free: Free

    def wake(self) -> bool:
        """Let it go on, from whatever thread; False if it never can."""
        ...


@dataclass(frozen=True, slots=True)
class BulkheadSnapshot:
    """A bulkhead at one moment, for a dashboard.

    Parameters: `name`; `limit`, how many calls may run at once now; `running`, how many do (more than `limit` for a
    while after an adaptive limit has fallen); `waiting`, how many wait; `refused`, how many calls so far.
    """

    name: str
    limit: int
    running: int
    waiting: int
    refused: int


class Places(Locked):
    """Places for so many calls at once, and a line of bounded length in the order of arrival.

    Whoever takes a place pops from `free`. Whoever gives one back looks at `waiters` before and after, and whoever
    begins to wait is in `waiters` before it looks at `free`: so one of the two always sees the other.

    Parameters: `limit`; `waiting`, how many may wait; `adapting`, what sets the limit from now on, None to keep it.
    """

    __slots__ = ("_adapting", "_owed", "_waiting", "free", "limit", "refused", "waiters")

    def __init__(self, limit: int, waiting: int, adapting: LimitState | None = None) -> None:
        super().__init__()
        self.limit = limit
        self.refused = 0
        self._waiting = waiting
        self._adapting = adapting
        self._begin()

    def _begin(self) -> None:
        self.free: Free = [None] * self.limit
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()
        self._owed = 0  # running calls whose places are to vanish, since the limit has fallen

    def after_fork(self) -> None:
        """The calls that ran or waited go on in the parent; the list in their hands is no longer this one."""
        super().after_fork()
        self._begin()

    @property
    def running(self) -> int:
        """How many calls have a place."""
        return self.limit + self._owed - len(self.free)

    def join(self, waiter: Waiter) -> bool:
        """Take a place (then it `has_place`) or stand in line; False, and counted, if there is no room to wait."""
        with self.lock:
            waiter.free = self.free
            self.waiters[waiter] = None
            chosen = self._choose()
            joined = waiter.has_place or len(self.waiters) <= self._waiting
            if not joined:
                del self.waiters[waiter]
                self.refused += 1
        self._wake(chosen)
        return joined

    def leave(self, waiter: Waiter, *, refused: bool) -> bool:
        """Wait no longer. True if it has a place, which may have come only just now; else it may be counted."""
        with self.lock:
            if not waiter.has_place:
                self.waiters.pop(waiter, None)
                self.refused += refused
            return waiter.has_place

    def refuse(self) -> None:
        """Count a call that did not even ask."""
        with self.lock:
            self.refused += 1

    def give_back(self, free: Free) -> None:
        """A call has ended that took its place from there."""
        with self.lock:
            chosen = self._vacate(free)
        self._wake(chosen)

    def hand_on(self) -> None:
        """A place has become free while somebody began to wait."""
        with self.lock:
            chosen = self._choose()
        self._wake(chosen)

    def settle(self, free: Free, seconds: float, *, overloaded: bool) -> tuple[int, int]:
        """The same for a call that took that long, from which the limit may learn; the limit before and after."""
        with self.lock:
            before = self.limit
            if self._adapting is not None and free is self.free:
                self._resize(self._adapting.observe(seconds, self.running, overloaded))
            after, chosen = self.limit, self._vacate(free)
        self._wake(chosen)
        return before, after

    def snapshot(self, name: str) -> BulkheadSnapshot:
        """How it is now."""
        with self.lock:
            return BulkheadSnapshot(name, self.limit, self.running, len(self.waiters), self.refused)

    # Whoever calls these holds the lock.

    def _vacate(self, free: Free) -> list[Waiter]:
        if free is not self.free or self.running <= 0:
            return []  # the place is one of the parent's
        if self._owed:
            self._owed -= 1
        else:
            free.append(None)
        return self._choose()

    def _choose(self) -> list[Waiter]:
        chosen = []
        while self.waiters:
            try:
                self.free.pop()
            except IndexError:
                break
            waiter, _ = self.waiters.popitem(last=False)
            waiter.has_place = True
            chosen.append(waiter)
        return chosen

    def _resize(self, limit: int) -> None:
        more = limit - self.limit
        self.limit = limit
        forgiven = min(self._owed, max(more, 0))
        self._owed -= forgiven
        self.free.extend([None] * (more - forgiven))
        for _ in range(-more):
            try:
                self.free.pop()
            except IndexError:
                self._owed += 1

    # Whoever calls this does not.

    def _wake(self, chosen: list[Waiter]) -> None:
        for waiter in chosen:
            if not waiter.wake():
                self.give_back(waiter.free)
