"""Who waits at a channel, on its event loop or on a thread, and how each is woken."""

from __future__ import annotations

import asyncio
import threading


class LoopWaiter:
    """A task that waits on the channel's event loop.

    `sends` tells in which of the two lines; `granted` is set once what it waits for is kept for it.
    """

    __slots__ = ("future", "granted", "sends")

    def __init__(self, loop: asyncio.AbstractEventLoop, sends: bool) -> None:
        self.sends = sends
        self.granted = False
        self.future: asyncio.Future[None] = loop.create_future()

    def wake(self) -> None:
        """Let the task run on; only on its own loop. Harmless once it was cancelled."""
        if not self.future.done():
            self.future.set_result(None)


class ThreadWaiter:
    """A thread that waits. Each has a lock of its own, as within a condition variable, so that one wake wakes one."""

    __slots__ = ("_gate", "granted", "sends")

    def __init__(self, sends: bool) -> None:
        self.sends = sends
        self.granted = False
        self._gate = threading.Lock()
        self._gate.acquire()

    def wake(self) -> None:
        """Let the thread run on; called once, from anywhere."""
        self._gate.release()

    def wait(self, seconds: float) -> bool:
        """Wait no longer than that; returns whether it was woken."""
        return self._gate.acquire(timeout=max(0.0, seconds))
