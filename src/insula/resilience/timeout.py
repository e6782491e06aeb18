"""Ends what takes too long, and tells everything within how much time is left."""

from __future__ import annotations

from functools import cached_property
from math import inf
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from insula.kernel.context import REAL_PROCESS, may_start_threads
from insula.kernel.deadline import ambient_deadline, leave_deadline
from insula.kernel.errors import DeadlineExceeded
from insula.resilience.attempts import Attempts, hand_on_attempts, on_thread
from insula.resilience.entered import Entered
from insula.resilience.events import Listener, TimeRanOut
from insula.resilience.functions import Function, name_of, refuse_awaitable
from insula.resilience.parameters import Seconds, whole
from insula.resilience.parameters import seconds as checked_seconds
from insula.resilience.policy import PerProcess, Policy, Tell, machine, running_process
from insula.resilience.threads import Threads

if TYPE_CHECKING:  # whoever limits async code has asyncio already; for the others it would be 40 ms
    import asyncio

    from insula.resilience.timer_queue import TimerQueue, TimerQueues


class TimedOut(DeadlineExceeded, TimeoutError):
    """A call took longer than it was given; what it did by then may have happened.

    Fields: `began`, False if no time was left for it, so that it did not take place.
    """

    began = True


def seconds_left() -> float | None:
    """How long the work that runs here is still of use: until the end of the `Timeout` or `bus.call` around it that
    ends first; None without one, zero once it is over."""
    deadline = ambient_deadline.get()
    return None if deadline == inf else max(0.0, deadline - machine.current().monotonic())


class Timeout(Policy):
    """Ends a call after some seconds, and narrows the ambient deadline for everything within.

    Async code is cancelled where it awaits. Plain code cannot be interrupted: a plain function is refused unless
    `on_thread` runs it on a thread of its own; the caller then gets its error in time, while the thread goes on.
    `async with Timeout(2):` serves a block.

    Parameters: `seconds`; `on_thread`, True to run plain functions on threads; `threads`, how many of them at most
    (default 32), counting those that go on: a call that finds all of them busy is refused with `Unavailable`.
    Raises `TimedOut`, also when the ambient deadline comes first. A cancellation from outside stays one.
    """

    _instead_of_with = (
        "write `async with`, since nothing can interrupt plain code; or decorate a plain function with Timeout(2, "
        "on_thread=True)"
    )

    def __init__(
        self,
        seconds: Seconds,
        *,
        on_thread: bool = False,
        threads: int = 32,
        name: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        super().__init__(name, listener)
        kind = type(self).__name__
        self.seconds = checked_seconds(kind, "seconds", seconds)
        self.on_thread = on_thread
        most = whole(kind, "threads", threads)
        self._threads: PerProcess[Threads] = PerProcess(lambda: Threads(self.name, most))

    @cached_property
    def queues(self) -> PerProcess[TimerQueues]:
        """The running calls of each process; made for the first async function, since asyncio comes with it."""
        from insula.resilience.timer_queue import TimerQueues

        return PerProcess(TimerQueues)

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Run a plain function on a thread. Raises TypeError without `on_thread`."""
        if not self.on_thread:
            raise TypeError(
                f"{self.name}: {name_of(function)} is a plain function, and nothing can interrupt one; make it async, "
                f"or write Timeout({self.seconds:g}, on_thread=True), which runs it on a thread"
            )

        def limited(*arguments: Any, **named: Any) -> Any:
            here = machine.current()
            began = here.monotonic()
            at = min(began + self.seconds, ambient_deadline.get())
            token = ambient_deadline.set(at)
            try:
                if at <= began:
                    raise self.out_of_time(name_of(function), tell)
                if not may_start_threads():
                    result = function(*arguments, **named)
                    if here.monotonic() > at:
                        raise self.timed_out(name_of(function), at - began, tell, "")
                    refuse_awaitable(self.name, function, result)
                    return result
                retried: list[Attempts] = []
                known = on_thread.set(retried)
                try:
                    work = self._threads.current().start(function, arguments, named)
                finally:
                    on_thread.reset(known)
                while not work.done and (left := at - here.monotonic()) > 0:
                    here.clock.block(left, work.wake)
                if not work.done:
                    raise self._late(name_of(function), at - began, tell, retried)
                result = work.result()
                refuse_awaitable(self.name, function, result)
                return result
            finally:
                ambient_deadline.reset(token)

        return limited

    def _late(self, function: str, given: float, tell: Tell | None, retried: list[Attempts]) -> TimedOut:
        after = "; its thread goes on until the function ends, and what it does may still happen"
        timed_out = self.timed_out(function, given, tell, after)
        for attempts in retried[-1:]:
            attempts.tell(timed_out)
        return timed_out

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """Cancel an async function where it awaits. All calls of this policy on one loop share one timer."""
        from asyncio import current_task

        own, elsewhere, given = self.queues.own, self.queues.elsewhere, self.seconds
        read_deadline, set_deadline, reset_deadline = ambient_deadline.get, ambient_deadline.set, ambient_deadline.reset

        async def limited(*arguments: Any, **named: Any) -> Any:
            queues = own if running_process() is REAL_PROCESS else elsewhere()
            queue = queues.by_thread.get(get_ident())
            if queue is None or (task := current_task(queue.loop)) is None:
                queue, task = queues.current()
            at = queue.monotonic() + given
            # Also where this task is in this policy already: then the ambient deadline is the outer call's.
            if read_deadline() <= at:
                return await self._until_deadline(queue, task, function, arguments, named, tell)
            cancelling = task.cancelling()
            running = queue.running
            running[task] = at
            if not queue.armed:
                queue.arm(at)
            token = set_deadline(at)
            try:
                result = await function(*arguments, **named)
            except BaseException as error:
                leave_deadline(token)
                if running.pop(task, None) is None and ran_out(task, cancelling, error):
                    raise self.instead_of(error, name_of(function), given, tell) from error
                raise
            reset_deadline(token)
            if running.pop(task, None) is None:
                task.uncancel()  # it finished although it was cancelled
            return result

        return limited

    async def _until_deadline(
        self,
        queue: TimerQueue,
        task: asyncio.Task[Any],
        function: Function,
        arguments: Any,
        named: Any,
        tell: Tell | None,
    ) -> Any:
        """The ambient deadline comes first: a timer of its own, since the shared one is in the order of start."""
        limit = _Limit(self, queue, task, name_of(function), tell)
        limit.begin()
        try:
            result = await function(*arguments, **named)
        except BaseException as error:
            limit.end(error)
            raise
        limit.end(None)
        return result

    async def __aenter__(self) -> Self:
        limit = _Limit(self, *self.queues.current().current(), "the block", self._own_tell)
        limit.begin()
        Entered.push(self, limit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        limit: _Limit | None = Entered.pop(self)
        if limit is not None:
            limit.end(error)

    def instead_of(self, error: BaseException, function: str, given: float, tell: Tell | None) -> TimedOut:
        """The error of a call that took too long, in place of the cancellation by which it ended."""
        timed_out = self.timed_out(function, given, tell)
        timed_out.__cause__ = error
        hand_on_attempts(error, timed_out)
        return timed_out

    def out_of_time(self, function: str, tell: Tell | None) -> TimedOut:
        """The error of a call that does not take place, since the ambient deadline is over."""
        timed_out = self.timed_out(function, 0.0, tell, " before it began")
        timed_out.began = False
        return timed_out

    def timed_out(self, function: str, given: float, tell: Tell | None, more: str = "") -> TimedOut:
        """The error of a call that took too long; tells whoever listens."""
        if tell is not None:
            tell(TimeRanOut(self.name, function, given))
        return TimedOut(f"{function} took longer than the {max(given, 0):.3g} s it had ({self.name}){more}")


class _Limit:
    """One call or block with a timer of its own."""

    __slots__ = (
        "_began",
        "_cancelling",
        "_given",
        "_name",
        "_over",
        "_policy",
        "_queue",
        "_task",
        "_tell",
        "_timer",
        "_token",
    )

    def __init__(
        self, policy: Timeout, queue: TimerQueue, task: asyncio.Task[Any], name: str, tell: Tell | None
    ) -> None:
        self._policy = policy
        self._queue = queue
        self._task = task
        self._name = name
        self._tell = tell

    def begin(self) -> None:
        """Start the timer. Raises `TimedOut` if the deadline is over."""
        queue = self._queue
        now = queue.monotonic()
        at = min(now + self._policy.seconds, ambient_deadline.get())
        self._given = at - now
        if at <= now:
            raise self._policy.out_of_time(self._name, self._tell)
        self._cancelling = self._task.cancelling()
        self._over = False
        self._timer = queue.call_at(at, self._run_out)
        self._token = ambient_deadline.set(at)

    def _run_out(self) -> None:
        self._over = True
        self._task.cancel()

    def end(self, error: BaseException | None) -> None:
        """Stop the timer. Raises `TimedOut` if `error` is its own cancellation."""
        leave_deadline(self._token)
        self._timer.cancel()
        if not self._over:
            return
        if error is None:
            self._task.uncancel()
        elif ran_out(self._task, self._cancelling, error):
            raise self._policy.instead_of(error, self._name, self._given, self._tell) from error


def ran_out(task: asyncio.Task[Any], cancelling: int, error: BaseException) -> bool:
    """Take our cancellation back; whether it was the only one, so that it is ours to turn into an error."""
    from asyncio import CancelledError

    return task.uncancel() <= cancelling and isinstance(error, CancelledError)
