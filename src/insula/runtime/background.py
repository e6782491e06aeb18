"""The tasks that move messages by themselves in a running system, and how they begin and end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from insula.kernel.deadline import without_deadline
from insula.runtime.work import Work

_log = logging.getLogger("insula.runtime")


class Background:
    """The tasks of one work in one process. One process at a time may run them; they may begin and end again.

    Parameters: `broken`, called when one of them has ended by itself, without which messages stand still.
    """

    def __init__(self, work: Work, broken: Callable[[], None]) -> None:
        self.work = work
        self._broken = broken
        self._tasks: list[asyncio.Task[None]] = []
        self.runs = False
        self._to_land = False

    async def begin(self) -> None:
        """Pick up what the last run left, wherever that was, and go on."""
        await self.work.start()
        self.runs = self._to_land = True
        for run in self.work.runs():
            self._begin(run)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        # Whoever starts the system may be in a hurry; what it starts is not.
        task = asyncio.get_running_loop().create_task(work, context=without_deadline())
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """These tasks never end by themselves: without one of them messages stand still, so say it and be unready."""
        if not self.runs:
            return
        error = None if task.cancelled() else task.exception()
        _log.critical("%s has ended; restart the process", task.get_coro(), exc_info=error)
        self._broken()

    async def end(self, seconds: float) -> None:
        """Begin no handler any more, let those under way end for so long, save cursors.

        What has not ended by then is cancelled; it is delivered again next time. Who is cancelled meanwhile may call it
        again, and goes on where it was.
        """
        self.runs = False
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if not self._to_land:
            return
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.work.land(seconds)
        await self.work.stop()
        self._to_land = False
