"""A clock that moves only when the test says so."""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from insula.kernel.clock import Wake
from insula.kernel.context import new_process, process_state
from insula.kernel.randomness import SeededRandomness
from insula.testing.real_waits import explain_real_wait

R = TypeVar("R")
_START = datetime(2030, 1, 1, tzinfo=UTC)
_TURNS_UNTIL_IDLE = 50


class _Alarm:
    """A call that comes when virtual time has reached a moment, in the loop that asked for it if one did."""

    __slots__ = ("_callback", "_loop")

    def __init__(self, callback: Callable[[], object], loop: asyncio.AbstractEventLoop | None) -> None:
        self._callback: Callable[[], object] | None = callback
        self._loop = loop

    def cancel(self) -> None:
        self._callback = None

    @property
    def cancelled(self) -> bool:
        return self._callback is None

    def ring(self) -> None:
        # Never in the middle of a task's step, even of the one that moved time: no loop would do that to it.
        loop = self._loop
        if loop is None:
            self._call()
        elif loop is asyncio._get_running_loop():  # noqa: SLF001 - public but for its name
            loop.call_soon(self._call)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(self._call)

    def _call(self) -> None:
        if self._callback is not None:
            self._callback()


class VirtualClock:
    """Virtual time. `advance` moves it and wakes whoever slept until then. Implements `Clock`."""

    def __init__(self, start: datetime = _START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._alarms: list[tuple[float, int, _Alarm]] = []
        self._count = 0
        self._lock = threading.RLock()

    def now(self) -> datetime:
        """The wall clock: the start plus the virtual time passed."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Virtual seconds passed."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time; zero or less gives other tasks a turn."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = asyncio.get_running_loop().create_future()
        alarm = self.call_at(self._elapsed + seconds, lambda: None if sleeper.done() else sleeper.set_result(None))
        try:
            await sleeper
        finally:
            alarm.cancel()

    def block(self, seconds: float, wake: Wake | None = None) -> None:
        """Hold the thread: alone, it lets the time pass itself; with `wake`, until somebody sets it or advances."""
        if wake is None:
            self.advance(max(0.0, seconds))
            return
        alarm = self._alarm(self._elapsed + seconds, _Alarm(wake.set, None))
        wake.wait()
        alarm.cancel()

    def call_at(self, moment: float, callback: Callable[[], object]) -> _Alarm:
        """Call back on the running loop as soon as virtual time has reached that moment."""
        return self._alarm(moment, _Alarm(callback, asyncio.get_running_loop()))

    def _alarm(self, moment: float, alarm: _Alarm) -> _Alarm:
        with self._lock:
            self._count += 1
            heapq.heappush(self._alarms, (moment, self._count, alarm))
        return alarm

    def next_alarm(self) -> float | None:
        """The moment for which somebody waits next; None if nobody does."""
        with self._lock:
            while self._alarms and self._alarms[0][2].cancelled:
                heapq.heappop(self._alarms)
            return self._alarms[0][0] if self._alarms else None

    def advance(self, by: timedelta | float) -> None:
        """Move time forward; a number counts seconds."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        if seconds < 0:
            raise ValueError("time does not go back")
        self._move_to(self._elapsed + seconds)

    def _move_to(self, moment: float) -> None:
        with self._lock:
            self._elapsed = max(self._elapsed, moment)
        while (due := self._next_due()) is not None:
            due.ring()

    def _next_due(self) -> _Alarm | None:
        with self._lock:
            due = self.next_alarm()
            return None if due is None or due > self._elapsed else heapq.heappop(self._alarms)[2]

    async def run(self, work: Awaitable[R]) -> R:
        """Await `work`, moving time to the next moment that somebody waits for whenever nothing else can happen.

        Raises RuntimeError if it waits for something that no passing of time brings. What waits by `asyncio.sleep` or
        on a thread waits in real time, which virtual time overtakes: an error that came of it says so.
        """
        task, began = asyncio.ensure_future(work), self._elapsed
        try:
            while not await self._settled(task):
                moment = self.next_alarm()
                if moment is None:
                    raise RuntimeError(f"nothing can happen any more at {self._elapsed:g} s, and {task!r} still waits")
                self._move_to(moment)
            return task.result()
        except BaseException as error:
            if self._elapsed > began:
                explain_real_wait(error)
            raise
        finally:
            task.cancel()

    async def _settled(self, task: asyncio.Future[R]) -> bool:
        for _ in range(_TURNS_UNTIL_IDLE):
            if task.done():
                break
            await asyncio.sleep(0)
        return task.done()


class PassingClock(VirtualClock):
    """Virtual time that passes by itself where code sleeps and nothing else happens: nobody else would move it."""

    async def sleep(self, seconds: float) -> None:
        """Let the time pass, from one moment that somebody waits for to the next."""
        until = self.monotonic() + seconds
        alarm = self.call_at(until, lambda: None)  # other sleepers stop here on their way
        try:
            while True:
                for _ in range(_TURNS_UNTIL_IDLE):
                    await asyncio.sleep(0)
                    if self.monotonic() >= until:
                        return
                self._move_to(min(until, self.next_alarm() or until))
        finally:
            alarm.cancel()


@contextmanager
def virtual_time(seed: int = 1) -> Iterator[VirtualClock]:
    """Within, the code runs as a process of its own: a `VirtualClock`, seeded chance, and policies as if just made.

    Tasks started within belong to it too; a thread only if it runs in a copy of the context.
    """
    clock = VirtualClock()
    token = process_state.set(new_process(clock, SeededRandomness(seed)))
    try:
        yield clock
    finally:
        process_state.reset(token)
