"""Several attempts at one async call that run at once, each in a task; none outlives the call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from insula.kernel.clock import Clock
from insula.kernel.errors import Rejection


class Ended:
    """An attempt that has ended. Parameters: `number`, which; `task`, that it ran in."""

    __slots__ = ("_task", "number")

    def __init__(self, number: int, task: asyncio.Task[Any]) -> None:
        self.number = number
        self._task = task

    @property
    def failure(self) -> Exception | None:
        """Its error; None if it is an answer: a result, a rejection, or what ends a program or a task."""
        error = None if self._task.cancelled() else self._task.exception()
        return error if isinstance(error, Exception) and not isinstance(error, Rejection) else None

    def result(self) -> Any:
        """What it returned; raises what it raised."""
        return self._task.result()


class Race:
    """The attempts of one call. Whoever makes it ends it, whatever happens.

    Parameters: `attempt`, called for each attempt, returns what is to be awaited; `clock`, of the process.
    """

    __slots__ = ("_attempt", "_clock", "_ended", "_loop", "_running", "_waiter")

    def __init__(self, attempt: Callable[[], Any], clock: Clock) -> None:
        self._attempt = attempt
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._ended: deque[Ended] = deque()
        self._running: dict[asyncio.Task[Any], int] = {}

    def begin(self, number: int) -> None:
        """Begin an attempt, in a copy of the caller's context."""
        task = self._loop.create_task(self._one())
        self._running[task] = number
        task.add_done_callback(self._note_end)

    async def _one(self) -> Any:
        return await self._attempt()

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # nobody will ask for the loser's, and asyncio would complain about that
        if task in self._running:
            self._ended.append(Ended(self._running.pop(task), task))
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def goes_on(self) -> bool:
        """Whether an attempt has yet to end, or to be asked for."""
        return bool(self._running or self._ended)

    async def next_end(self, until: float | None) -> Ended | None:
        """The next attempt that has ended; None if the moment `until` comes first."""
        if not self._ended:
            timer = None if until is None else self._clock.call_at(until, self._wake)
            try:
                await self._change()
            finally:
                if timer is not None:
                    timer.cancel()
        return self._ended.popleft() if self._ended else None

    async def _change(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def abandon(self) -> None:
        """Cancel what still runs, where nobody can wait for its end."""
        self._cancel()
        self._running.clear()

    def _cancel(self) -> None:
        for task in self._running:
            task.cancel()

    async def end(self) -> None:
        """Cancel what still runs and wait until it has ended. A cancellation from outside is passed on to it."""
        cancelled = None
        self._cancel()
        try:
            while self._running:
                try:
                    await self._change()
                except asyncio.CancelledError as error:
                    cancelled = error
                    self._cancel()
            if cancelled is not None:
                raise cancelled
        finally:
            del cancelled
            self._ended.clear()  # errors would be held by the frames that they came through
