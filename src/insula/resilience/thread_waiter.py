"""A thread that waits for its turn."""

from __future__ import annotations

from threading import Event

from insula.resilience.places import Free
from insula.resilience.policy import machine


class ThreadWaiter:
    """Holds its thread until it has a place, or its time is over."""

    __slots__ = ("_event", "free", "has_place")

    def __init__(self) -> None:
        self.free: Free = []
        self.has_place = False
        self._event = Event()

    def wake(self) -> bool:
        """From whatever thread."""
        self._event.set()
        return True

    def wait(self, until: float) -> None:
        """Until its turn has come, or that moment of the monotonic clock."""
        clock = machine.current().clock
        while not self.has_place and (left := until - clock.monotonic()) > 0:
            clock.block(left, self._event)
