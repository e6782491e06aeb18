"""Stops waiting for tasks that take too long: one alarm for all of them, since all have the same time.

A timer for each costs more than most handlers. Tasks that are given the same time are over it in the order in which
they began, so only the first of them needs to be watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Overdue:
    """Parameters: `seconds`, that each task has."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: dict[asyncio.Task[Any], tuple[float, Callable[[], None]]] = {}
        self._alarm: asyncio.TimerHandle | None = None

    async def wait(self, task: asyncio.Task[Any]) -> bool:
        """Wait until a task has ended, or its time is over; returns whether it has ended.

        Nothing happens to the task either way, also when the waiting is cancelled.
        """
        loop = task.get_loop()
        over: asyncio.Future[None] = loop.create_future()

        def ended(_: object = None) -> None:
            if not over.done():
                over.set_result(None)

        task.add_done_callback(ended)
        self._waiting[task] = (loop.time() + self.seconds, ended)
        if self._alarm is None:
            self._alarm = loop.call_later(self.seconds, self._look, loop)
        try:
            await over
        finally:
            self._waiting.pop(task, None)
            task.remove_done_callback(ended)
        return task.done()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell those whose time is over, and look again when it is the next one's."""
        self._alarm, now = None, loop.time()
        for task, (until, tell) in list(self._waiting.items()):
            if until > now:
                self._alarm = loop.call_at(until, self._look, loop)
                return
            del self._waiting[task]
            tell()
