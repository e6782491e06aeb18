"""A stage of a flow that runs: it is pulled from, and pulls from the stage before it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from insula.kernel.clock import Clock
from insula.kernel.errors import Failure
from insula.kernel.notes import leave_note
from insula.streams.counters import Tallies
from insula.streams.delivery import Element

T = TypeVar("T")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a stage stands in a run.

    Parameters: `name`, for errors and counters; `tallies`, where it counts; `clock`; `upstream`, the stages before it.
    """

    name: str
    tallies: Tallies
    clock: Clock
    upstream: tuple[Stage[Any], ...] = ()


class Stage(Generic[T]):
    """One stage in one run.

    Pulls come one after the other. A stage pulls from upstream only when it has a place for what may come, and not
    before it was pulled from itself.
    """

    def __init__(self, position: Position) -> None:
        self.name = position.name
        self.clock = position.clock
        self.upstream = position.upstream
        self.tally = position.tallies.begin()
        self._tallies = position.tallies
        self._stopped = False

    async def pull(self) -> Element[T]:
        """The next element; raises StopAsyncIteration at the end, or the error of this stage or of one before it."""
        raise NotImplementedError

    async def release(self) -> list[BaseException]:
        """Let go of what this stage alone holds; returns what went wrong."""
        return []

    async def stop(self) -> list[BaseException]:
        """End this stage and all before it, also when this is cancelled; returns what went wrong in doing so."""
        errors: list[BaseException] = []
        if self._stopped:
            return errors
        self._stopped = True
        try:
            errors += await self.release()
        finally:
            self._tallies.end(self.tally)
            await self._stop_upstream(errors)
        return errors

    async def _stop_upstream(self, errors: list[BaseException]) -> None:
        cancelled: asyncio.CancelledError | None = None
        for stage in self.upstream:
            try:
                errors += await stage.stop()
            except asyncio.CancelledError as error:  # of whoever stops; the others still have to be
                cancelled = error
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled

    def explain(self, error: Exception, place: str = "stage") -> None:
        """Let the error of a user's function tell where it happened.

        Raises RuntimeError in place of a StopAsyncIteration, which would look like the end of the flow.
        """
        if isinstance(error, StopAsyncIteration):
            message = f"{place} {self.name} of a flow raised StopAsyncIteration"
            raise RuntimeError(message) from error  # noqa: TRY004 - the type is what it says
        leave_note(error, f"Raised in {place} {self.name} of a flow.")


class Signal:
    """Wakes the one task that waits. Who waits looks first whether there is need to, and again when it is woken."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake whoever waits; forgotten if nobody does."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait to be woken."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class PumpingStage(Stage[T]):
    """A stage that pulls ahead of its own puller, by tasks of its own, as far as it has places.

    A subclass names its pumps in `pumps`; they put elements into `ready` and ring `arrived`; `taken` rings when one
    left. The first pump that fails ends the stage, after what was ready before.
    """

    def __init__(self, position: Position) -> None:
        super().__init__(position)
        self.ready: deque[Element[T]] = deque()
        self.arrived = Signal()
        self.taken = Signal()
        self.tasks: dict[asyncio.Task[Any], None] = {}  # ordered: they are cancelled in the order of their start
        self.pumping = 0
        self.failure: Exception | None = None
        self._started = False

    def pumps(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        """The work of the pumps; a pump ends with StopAsyncIteration or by returning."""
        raise NotImplementedError

    async def pull(self) -> Element[T]:
        """The next element that is ready; waits for one."""
        if not self.ready:
            await self.until_ready()
        element = self.ready.popleft()
        self.taken.set()
        self.tally.left += 1
        return element

    async def until_ready(self) -> None:
        """Wait for something to give; raises StopAsyncIteration or the failure where nothing will come."""
        self.start()
        while not self.is_ready():
            if self.is_over():
                raise self.failure or StopAsyncIteration
            await self.arrived.wait()

    def is_ready(self) -> bool:
        """Whether there is something to give now."""
        return bool(self.ready)

    def is_over(self) -> bool:
        """Whether nothing more will be ready."""
        return self.failure is not None or self.pumping == 0

    def start(self) -> None:
        """Begin to pull, at the first demand."""
        if not self._started:
            self._started = True
            for pump in self.pumps():
                self.pumping += 1
                self.spawn(pump()).add_done_callback(self.pump_ended)

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run it as a task of this stage."""
        task = asyncio.create_task(work, name=f"insula flow: {self.name}")
        self.tasks[task] = None
        task.add_done_callback(self.tasks.pop)
        return task

    async def place(self, ring: Signal) -> None:
        """Wait for room until `ring`; count how long, and that it is blocked meanwhile."""
        started = self.clock.monotonic()
        self.tally.blocked += 1
        try:
            await ring.wait()
        finally:
            self.tally.blocked -= 1
        self.tally.waited_seconds += self.clock.monotonic() - started

    def failure_of(self, task: asyncio.Task[Any]) -> Exception | None:
        """What a task of this stage failed with; a cancellation that nobody here asked for is a failure."""
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            return None
        if isinstance(error, Exception):
            return error
        return Failure(f"stage {self.name} of a flow was stopped by somebody else: {error or 'its task was cancelled'}")

    async def release(self) -> list[BaseException]:
        """Cancel the tasks, and wait until they have cleaned up."""
        tasks = list(self.tasks)
        if not tasks:
            return []
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        # A pump that came to its end in this very moment says so with StopAsyncIteration: nothing went wrong.
        failed = [error for error in ended if isinstance(error, Exception) and error is not self.failure]
        return [error for error in failed if not isinstance(error, StopAsyncIteration)]

    def pump_ended(self, task: asyncio.Task[None]) -> None:
        """A pump came to its end, or failed."""
        self.pumping -= 1
        error = self.failure_of(task)
        if self.failure is None and not isinstance(error, StopAsyncIteration):
            self.failure = error
        self.arrived.set()
