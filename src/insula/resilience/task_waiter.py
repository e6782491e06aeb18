"""A task that waits for its turn, on whatever event loop; imported where asyncio is there already."""

from __future__ import annotations

import asyncio

from insula.resilience.places import Free
from insula.resilience.policy import machine


class TaskWaiter:
    """Suspends its task until it has a place, or its time is over."""

    __slots__ = ("_loop", "_turn", "free", "has_place")

    def __init__(self) -> None:
        self.free: Free = []
        self.has_place = False
        self._loop = asyncio.get_running_loop()
        self._turn: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> bool:
        """From whatever thread. False if the loop is closed, and the task with it."""
        if running_loop() is self._loop:
            self._go_on()
            return True
        try:
            self._loop.call_soon_threadsafe(self._go_on)
        except RuntimeError:
            return False
        return True

    def _go_on(self) -> None:
        if not self._turn.done():
            self._turn.set_result(None)

    async def wait(self, until: float) -> None:
        """Until its turn has come, or that moment of the monotonic clock."""
        timer = machine.current().clock.call_at(until, self._go_on)
        try:
            await self._turn
        finally:
            timer.cancel()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop of this thread, if one runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
