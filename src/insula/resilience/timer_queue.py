"""One timer for all calls of one timeout: they run out in the order in which they began."""

from __future__ import annotations

import asyncio
from asyncio import current_task, get_running_loop
from threading import get_ident
from typing import Any

from insula.resilience.policy import Locked, machine


class TimerQueues(Locked):
    """The queues of one policy in one process: one for each event loop, since loops may run in several threads.

    They are found by thread, and a queue's loop is asked for its task: asking for the running loop takes a system call
    in Python 3.11, half as long as all the rest. A loop has no task while it does not run, and is the queue of one
    thread only, so that a task that is found is the one which asks.
    """

    __slots__ = ("by_thread",)

    def __init__(self) -> None:
        super().__init__()
        self.by_thread: dict[int, TimerQueue] = {}

    def after_fork(self) -> None:
        """A loop that ran at the fork seems to do so for ever: its task is that of the parent."""
        super().after_fork()
        self.by_thread.clear()

    def open(self) -> TimerQueue:
        """The queue of the loop that runs in this thread; it may have run in another thread before."""
        loop, found = get_running_loop(), None
        for thread, queue in list(self.by_thread.items()):
            if queue.loop is loop:
                found = queue
            if queue.loop is loop or queue.loop.is_closed():
                self.by_thread.pop(thread, None)
        found = self.by_thread[get_ident()] = found or TimerQueue(loop)
        return found

    def current(self) -> tuple[TimerQueue, asyncio.Task[Any]]:
        """The queue of the running loop, and the task that runs."""
        queue = self.by_thread.get(get_ident())
        task: asyncio.Task[Any] | None = None if queue is None else current_task(queue.loop)
        if queue is None or task is None:
            queue = self.open()
            task = current_task(queue.loop)
        if task is None:
            raise RuntimeError("a Timeout needs a task that it can cancel; await it from a coroutine")
        return queue, task


class TimerQueue:
    """Running calls in the order of their start. Removing one is a look-up; only the oldest has a timer.

    `running`, by task: when its time is over. A call that is not in it at its end has run out.
    """

    __slots__ = ("armed", "call_at", "loop", "monotonic", "running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        clock = machine.current().clock
        self.monotonic = clock.monotonic
        self.call_at = clock.call_at
        self.running: dict[asyncio.Task[Any], float] = {}
        self.armed = False

    def arm(self, at: float) -> None:
        """Look at the oldest call at that moment."""
        self.armed = True
        self.call_at(at, self._look)

    def _look(self) -> None:
        now, running, due = self.monotonic(), self.running, []
        self.armed = False
        for task, at in running.items():
            if at > now:
                self.arm(at)
                break
            due.append(task)
        for task in due:
            del running[task]
            task.cancel()
