"""Waiting for whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any


class Signal:
    """Tells one waiting task that there is something to do.

    As `asyncio.Event` under `asyncio.timeout`, at a third of their price, for each message rings a few of these.
    """

    __slots__ = ("_given", "_waiter")

    def __init__(self) -> None:
        self._given = False
        self._waiter: asyncio.Future[bool] | None = None

    def set(self) -> None:
        """Wake whoever waits, or spare them the next wait."""
        self._given = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def clear(self) -> None:
        """Forget what was told."""
        self._given = False

    async def wait(self, seconds: float | None = None) -> bool:
        """Until the signal is given, but no longer than that (default: no limit); returns whether it was."""
        if self._given:
            return True
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, _time_is_up, waiter)
        try:
            given: bool = await waiter
            return given
        finally:
            if timer is not None:
                timer.cancel()


def _time_is_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


async def land(tasks: Sequence[asyncio.Task[Any]], seconds: float | None = None) -> None:
    """Wait until every task has ended; those that have not after `seconds` (default: no limit) are cancelled."""
    if not tasks:
        return
    await asyncio.wait(tasks, timeout=seconds)
    late = [task for task in tasks if not task.done()]
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late)
