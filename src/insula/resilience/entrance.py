"""How a call comes into a bulkhead: at once, after its turn in the line, or not at all."""

from __future__ import annotations

from insula.kernel.deadline import ambient_deadline
from insula.kernel.errors import DeadlineExceeded, Unavailable
from insula.resilience.events import LimitChanged, Refused, Waited
from insula.resilience.holding import check_may_hold
from insula.resilience.places import Free, Places
from insula.resilience.policy import Tell, machine
from insula.resilience.thread_waiter import ThreadWaiter

_SIGNS_OF_OVERLOAD = (TimeoutError, DeadlineExceeded, Unavailable)


class BulkheadFull(Unavailable):
    """As many calls run, and wait, as may; this one did not take place."""


class Stay:
    """One call's time within a bulkhead."""

    __slots__ = ("_began", "_deadline", "_free", "_monotonic", "_name", "_places", "_tell")

    def __init__(self, name: str, places: Places, free: Free, tell: Tell | None) -> None:
        self._name = name
        self._places = places
        self._free = free
        self._tell = tell
        self._monotonic = machine.current().monotonic
        self._deadline = ambient_deadline.get()
        self._began = self._monotonic()

    def end(self, error: BaseException | None) -> None:
        """Give the place back, and let an adaptive limit learn from the call; from whatever thread."""
        now = self._monotonic()
        # A Timeout around the bulkhead cancels the call; that its deadline is over is all that can be seen here.
        overloaded = isinstance(error, _SIGNS_OF_OVERLOAD) or now >= self._deadline
        before, after = self._places.settle(self._free, now - self._began, overloaded=overloaded)
        if before != after and self._tell is not None:
            self._tell(LimitChanged(self._name, before, after))


class Entrance:
    """Parameters: `name` of the bulkhead; `waiting`, how many may wait, and for how many seconds (`patience`)."""

    __slots__ = ("_name", "_patience", "_waiting")

    def __init__(self, name: str, waiting: int, patience: float) -> None:
        self._name = name
        self._waiting = waiting
        self._patience = patience

    def enter(self, places: Places, tell: Tell | None) -> Stay:
        """Hold the thread until there is a place. Raises `BulkheadFull`."""
        free = places.free
        try:
            free.pop()
        except IndexError:
            free = self.wait(places, tell)
        return Stay(self._name, places, free, tell)

    async def enter_async(self, places: Places, tell: Tell | None) -> Stay:
        """Suspend the task until there is a place. Raises `BulkheadFull`."""
        free = places.free
        try:
            free.pop()
        except IndexError:
            free = await self.wait_async(places, tell)
        return Stay(self._name, places, free, tell)

    def wait(self, places: Places, tell: Tell | None) -> Free:
        """No place is free: hold the thread until one is. Raises `BulkheadFull`."""
        began, until = self._check(places, tell)
        check_may_hold(self._name, until - began)
        waiter = ThreadWaiter()
        if not places.join(waiter):
            raise self._full(places, tell)
        if waiter.has_place:
            return waiter.free
        try:
            waiter.wait(until)
        except BaseException:
            if places.leave(waiter, refused=False):
                places.give_back(waiter.free)
            raise
        if not places.leave(waiter, refused=True):
            raise self._waited_in_vain(began, tell)
        self._tell_wait(began, tell)
        return waiter.free

    async def wait_async(self, places: Places, tell: Tell | None) -> Free:
        """No place is free: suspend the task until one is. Raises `BulkheadFull`."""
        from insula.resilience.task_waiter import TaskWaiter

        began, until = self._check(places, tell)
        waiter = TaskWaiter()
        if not places.join(waiter):
            raise self._full(places, tell)
        if waiter.has_place:
            return waiter.free
        try:
            await waiter.wait(until)
        except BaseException:
            # Its place may have come in the very step in which it is cancelled, or its coroutine closed.
            if places.leave(waiter, refused=False):
                places.give_back(waiter.free)
            raise
        if not places.leave(waiter, refused=True):
            raise self._waited_in_vain(began, tell)
        self._tell_wait(began, tell)
        return waiter.free

    def _check(self, places: Places, tell: Tell | None) -> tuple[float, float]:
        """The present moment, and until when to wait."""
        if not self._waiting:
            places.refuse()
            raise self._full(places, tell)
        now = machine.current().monotonic()
        deadline = ambient_deadline.get()
        if deadline <= now:
            places.refuse()
            raise self._refusal("no place is free, and its deadline is over", tell)
        return now, min(now + self._patience, deadline)

    def _full(self, places: Places, tell: Tell | None) -> BulkheadFull:
        if not self._waiting:
            return self._refusal(f"all {places.limit} places are taken", tell)
        return self._refusal(f"all {places.limit} places are taken, and {self._waiting} calls wait", tell)

    def _waited_in_vain(self, began: float, tell: Tell | None) -> BulkheadFull:
        waited = machine.current().monotonic() - began
        return self._refusal(f"no place became free in the {waited:.3g} s it could wait", tell)

    def _refusal(self, because: str, tell: Tell | None) -> BulkheadFull:
        if tell is not None:
            tell(Refused(self._name, because))
        return BulkheadFull(f"{self._name}: {because}; try again later, or let more calls run at once")

    def _tell_wait(self, began: float, tell: Tell | None) -> None:
        if tell is not None:
            tell(Waited(self._name, machine.current().monotonic() - began))
