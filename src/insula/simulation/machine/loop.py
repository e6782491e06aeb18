"""An event loop in virtual time: first in, first out within a process; chance only chooses between processes."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, NoReturn, Protocol
from zlib import crc32

from insula.simulation.choices import Choices

MOST_STEPS = 3_000_000
_TASKS_KEPT = 1000


class StandsStill(Exception):
    """Nothing can run any more, and nothing will."""


class RunsForEver(Exception):
    """More steps than any run should take."""


class OutsideWorld(RuntimeError):
    """Code under simulation reached for a real socket, process or name server."""


class Lane(Protocol):
    """What the loop needs to know of a process: its callbacks in their order, and whether they may run."""

    ready: deque[asyncio.Handle]
    dead: bool
    paused: bool
    steps: int
    dies_at_step: int
    tag: bytes

    def die_here(self) -> None:
        """Crash in the middle of whatever runs."""
        ...


class SimulatedTask(asyncio.Task[Any]):
    """A task whose hash is a number: sets of tasks are walked in the same order in every process."""

    _number: int

    def __new__(cls, *_: Any, loop: SimulatedLoop, **__: Any) -> SimulatedTask:  # noqa: PYI034 - before __init__ hashes it
        task = super().__new__(cls)
        task._number = loop.next_number()
        return task

    def __hash__(self) -> int:
        return self._number


class SimulatedFuture(asyncio.Future[Any]):
    """The same for futures."""

    _number: int

    def __new__(cls, *, loop: SimulatedLoop) -> SimulatedFuture:  # noqa: PYI034 - as above
        future = super().__new__(cls)
        future._number = loop.next_number()
        return future

    def __hash__(self) -> int:
        return self._number


class _Handle(events.Handle):
    """A callback, as asyncio's, without the questions that every debugger asks: a run makes a thousand."""

    __slots__ = ()

    def __init__(self, callback: Any, args: Any, loop: SimulatedLoop, context: Context | None) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class _TimerHandle(events.TimerHandle):
    """The same for a later moment."""

    __slots__ = ()

    def __init__(self, when: float, callback: Any, args: Any, loop: SimulatedLoop, context: Context | None) -> None:
        _Handle.__init__(self, callback, args, loop, context)  # type: ignore[arg-type]
        self._when = when
        self._scheduled = True


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs every process of a simulation; time moves when nobody can run.

    asyncio promises that callbacks of one loop run in the order of scheduling, and programs rely on it. So each process
    keeps that order, and only which process goes next is a choice: no impossible schedule is ever tried.
    """

    def __init__(self, choices: Choices, of_context: Callable[[Context], Lane], begins: float = 0.0) -> None:
        super().__init__()
        self._choices = choices
        self._of_context = of_context
        self._now = begins
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._sequence = itertools.count()
        self.next_number = itertools.count(1).__next__
        self._runnable: list[Lane] = []
        self.tasks: list[SimulatedTask] = []
        self._tasks_kept = _TASKS_KEPT
        self.steps = 0
        self.checksum = 0
        self.unhandled: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.unhandled.append(context))

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the middle of a step; what has become due runs after it."""
        self._now += seconds

    # -- scheduling

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run in the calling process's order."""
        handle = _Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run at a moment of virtual time."""
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._sequence), timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run after so many virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing: a cancelled timer is passed over when its time has come."""

    def _enqueue(self, handle: asyncio.Handle) -> None:
        process = self._of_context(handle._context)  # type: ignore[attr-defined]  # noqa: SLF001
        if process.dead:
            return  # frozen for ever: not even its `finally` blocks run
        if not process.ready and not process.paused:
            self._runnable.append(process)
        process.ready.append(handle)

    def resume(self, process: Lane) -> None:
        """Let a paused process go on."""
        if process.ready and not process.dead:
            self._runnable.append(process)

    def freeze(self, process: Lane) -> None:
        """Let a process run no more, for now or for ever."""
        if process in self._runnable:
            self._runnable.remove(process)

    def _run_once(self) -> None:
        """Run until somebody says stop: asyncio would call again for each callback."""
        runnable, timers, among = self._runnable, self._timers, self._choices.among
        while not self._stopping:  # type: ignore[attr-defined]
            if not runnable:
                self._advance()
            elif timers and timers[0][0] <= self._now:
                self._release_due()
            index = among(len(runnable)) if len(runnable) > 1 else 0
            process = runnable[index]
            handle = process.ready.popleft()
            if not process.ready:
                del runnable[index]
            elif index != len(runnable) - 1:
                runnable.append(runnable.pop(index))  # by turns, so that the default choice is fair
            if handle._cancelled:  # noqa: SLF001
                continue
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise RunsForEver(f"more than {MOST_STEPS:,} steps by {self._now:.0f} s of virtual time")
            self.checksum = crc32(process.tag, self.checksum)
            process.steps += 1
            if process.steps == process.dies_at_step:
                process.die_here()
                continue
            handle._run()  # noqa: SLF001

    def _advance(self) -> None:
        while not self._runnable:
            if not self._timers:
                raise StandsStill(f"nothing can run any more at {self._now:.3f} s")
            self._now = max(self._now, self._timers[0][0])
            self._release_due()

    def _release_due(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self._now:
            timer = heapq.heappop(timers)[2]
            if not timer.cancelled():
                self._enqueue(timer)

    # -- what asyncio makes here

    def create_future(self) -> SimulatedFuture:
        """A future with a stable hash."""
        return SimulatedFuture(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None, **_: Any
    ) -> SimulatedTask:
        """A task with a stable hash, kept until the loop is closed or it was done for long."""
        task = SimulatedTask(coro, loop=self, name=name or f"task {next(self._sequence)}", context=context)
        self.tasks.append(task)
        if len(self.tasks) > self._tasks_kept:
            self.tasks = [each for each in self.tasks if not each.done()]
            self._tasks_kept = _TASKS_KEPT + 2 * len(self.tasks)
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> SimulatedFuture:  # type: ignore[override]
        """Run on the loop, a moment later: there is one thread."""
        future = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                future.set_exception(error)

        self.call_later(0.0005, run)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's name
        """There is none."""

    # -- no outside world

    def _write_to_self(self) -> None:
        """Nobody sleeps."""

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _refuse(self, *args: Any, **options: Any) -> NoReturn:
        raise OutsideWorld(
            "code under simulation reached for a real socket, process or name server; put it behind a port "
            "(module.bind) and give the simulation a stand-in: simulate(..., ports={ThePort: StandIn})"
        )

    async def _refuse_later(self, *args: Any, **options: Any) -> NoReturn:
        self._refuse()

    add_reader = add_writer = add_signal_handler = _refuse  # type: ignore[assignment]
    getaddrinfo = getnameinfo = create_connection = create_server = _refuse_later
    create_datagram_endpoint = sock_connect = sock_recv = sock_sendall = sock_accept = _refuse_later
    subprocess_exec = subprocess_shell = create_unix_connection = create_unix_server = _refuse_later
