"""Bounds how many calls run at once, so that a slow neighbour holds only its own part of the process."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from insula.kernel.context import REAL_PROCESS, may_start_threads
from insula.kernel.deadline import ambient_deadline
from insula.kernel.errors import DeadlineExceeded
from insula.resilience.adaptive_limits import AdaptiveLimit
from insula.resilience.entered import Entered
from insula.resilience.entrance import Entrance, Stay
from insula.resilience.events import Listener
from insula.resilience.functions import PLAIN, Function, check_function, is_async, name_of, refuse_awaitable
from insula.resilience.parameters import Seconds, seconds, whole
from insula.resilience.places import BulkheadSnapshot, Places
from insula.resilience.policy import PerProcess, Policy, Tell, machine, running_process
from insula.resilience.threads import Threads, Work

P = ParamSpec("P")
R = TypeVar("R")
_WAIT_SECONDS = 10.0


class Bulkhead(Policy):
    """At most `limit` calls at once; the next ones wait in the order of arrival, or are refused with `BulkheadFull`.

    One bulkhead serves tasks and threads at once. `with bulkhead:` and `async with bulkhead:` serve a block; the
    former holds its thread while it waits, so write the latter in a coroutine.

    Parameters: `limit`, a number, or an `AimdLimit` or `GradientLimit`, which find it out; `waiting`, how many may wait
    (default 0: refused at once), for how long: `wait_seconds` (default 10), but never past the ambient deadline.
    `on_threads`, True to run plain functions on threads of the bulkhead: whoever calls one waits no longer than the
    ambient deadline, and then gets `DeadlineExceeded`, while the thread goes on and keeps its place until the function
    ends. From a coroutine, write `await bulkhead.call_on_thread(function, ...)`, which any bulkhead has.
    Source: M. Nygard, "Release It!", 2007.
    """

    def __init__(
        self,
        limit: int | AdaptiveLimit,
        waiting: int = 0,
        *,
        wait_seconds: Seconds | None = None,
        on_threads: bool = False,
        name: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        super().__init__(name, listener)
        kind = type(self).__name__
        line = whole(kind, "waiting", waiting, least=0)
        if wait_seconds is not None and line == 0:
            raise ValueError(f"{kind}: wait_seconds= is for calls that wait, and none may; write waiting=10 with it")
        patience = _WAIT_SECONDS if wait_seconds is None else seconds(kind, "wait_seconds", wait_seconds)
        self._entrance = Entrance(self.name, line, patience)
        self._on_threads = on_threads
        self._adapts = not isinstance(limit, int) and hasattr(limit, "start")
        most, create = _of(kind, limit, line)
        self.places: PerProcess[Places] = PerProcess(create)
        self._threads: PerProcess[Threads] = PerProcess(lambda: Threads(self.name, most))

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Let a plain function run within."""
        if self._on_threads:
            return self._wrap_on_thread(function, tell)
        if self._adapts:
            return self._wrap_staying(function, tell)
        own, elsewhere, wait = self.places.own, self.places.elsewhere, self._entrance.wait

        def held(*arguments: Any, **named: Any) -> Any:
            places = own if running_process() is REAL_PROCESS else elsewhere()
            free = places.free
            try:
                free.pop()
            except IndexError:
                free = wait(places, tell)
            try:
                result = function(*arguments, **named)
                if type(result) not in PLAIN:
                    refuse_awaitable(self.name, function, result)
                return result
            finally:
                if places.waiters:
                    places.give_back(free)
                else:
                    free.append(None)
                    if places.waiters:
                        places.hand_on()

        return held

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """Let an async function run within."""
        if self._adapts:
            return self._wrap_staying_async(function, tell)
        own, elsewhere, wait = self.places.own, self.places.elsewhere, self._entrance.wait_async

        async def held(*arguments: Any, **named: Any) -> Any:
            places = own if running_process() is REAL_PROCESS else elsewhere()
            free = places.free
            try:
                free.pop()
            except IndexError:
                free = await wait(places, tell)
            try:
                return await function(*arguments, **named)
            finally:
                if places.waiters:
                    places.give_back(free)
                else:
                    free.append(None)
                    if places.waiters:
                        places.hand_on()

        return held

    def _wrap_staying(self, function: Function, tell: Tell | None) -> Function:
        def held(*arguments: Any, **named: Any) -> Any:
            stay = self._entrance.enter(self.places.current(), tell)
            return _within(self.name, stay, function, arguments, named)

        return held

    def _wrap_staying_async(self, function: Function, tell: Tell | None) -> Function:
        async def held(*arguments: Any, **named: Any) -> Any:
            stay = await self._entrance.enter_async(self.places.current(), tell)
            try:
                result = await function(*arguments, **named)
            except BaseException as error:
                stay.end(error)
                raise
            stay.end(None)
            return result

        return held

    def _wrap_on_thread(self, function: Function, tell: Tell | None) -> Function:
        def held(*arguments: Any, **named: Any) -> Any:
            stay = self._entrance.enter(self.places.current(), tell)
            if not may_start_threads():
                return _within(self.name, stay, function, arguments, named)
            work = self._start(stay, stay.end, function, arguments, named)
            clock, deadline = machine.current().clock, ambient_deadline.get()
            while not work.done and (left := deadline - clock.monotonic()) > 0:
                if left == inf:
                    work.wake.wait()
                else:
                    clock.block(left, work.wake)
            if not work.done:
                raise DeadlineExceeded(
                    f"{self.name}: {name_of(function)} has not ended at its deadline; its thread goes on until it "
                    "does, and what it does may still happen"
                )
            result = work.result()
            refuse_awaitable(self.name, function, result)
            return result

        return held

    async def call_on_thread(self, function: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> R:
        """Run a plain function on one of the bulkhead's threads, for a coroutine, and return what it returns.

        Whoever is cancelled meanwhile goes on at once; the thread runs until the function ends, and keeps its place
        until then. Raises `BulkheadFull`, what the function raises, and TypeError for an async function.
        """
        check_function(self.name, function)
        if is_async(function):
            raise TypeError(f"{self.name}: {name_of(function)} is async and needs no thread; write `call` and await it")
        from asyncio import get_running_loop

        stay = await self._entrance.enter_async(self.places.current(), self._own_tell)
        result: R
        if not may_start_threads():
            result = _within(self.name, stay, function, arguments, named)
            return result
        loop = get_running_loop()
        ended = loop.create_future()

        def end(error: BaseException | None) -> None:
            stay.end(error)
            try:
                loop.call_soon_threadsafe(lambda: None if ended.done() else ended.set_result(None))
            except RuntimeError:
                pass  # the loop is closed, and nobody waits any more

        work = self._start(stay, end, function, arguments, named)
        await ended
        result = work.result()
        refuse_awaitable(self.name, function, result)
        return result

    def _start(
        self, stay: Stay, end: Callable[[BaseException | None], None], function: Function, arguments: Any, named: Any
    ) -> Work:
        try:
            return self._threads.current().start(function, arguments, named, end)
        except BaseException:
            stay.end(None)
            raise

    def __enter__(self) -> Self:
        Entered.push(self, self._entrance.enter(self.places.current(), self._own_tell))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stay: Stay | None = Entered.pop(self)
        if stay is not None:
            stay.end(error)
        else:
            # A coroutine that somebody else closes. What it took was one place, whichever.
            places = self.places.current()
            places.give_back(places.free)

    async def __aenter__(self) -> Self:
        Entered.push(self, await self._entrance.enter_async(self.places.current(), self._own_tell))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def snapshot(self) -> BulkheadSnapshot:
        """How the bulkhead is in this process."""
        return self.places.current().snapshot(self.name)


def _of(kind: str, limit: int | AdaptiveLimit, waiting: int) -> tuple[int, Callable[[], Places]]:
    """How many calls may run at once at most, and what makes the places of a process."""
    if isinstance(limit, int) or not hasattr(limit, "start"):
        most = whole(kind, "limit", limit)  # type: ignore[arg-type]  # whatever it is, it is named
        return most, lambda: Places(most, waiting)

    def adapting() -> Places:
        state = limit.start()
        return Places(state.limit, waiting, state)

    return limit.maximum, adapting


def _within(policy: str, stay: Stay, function: Function, arguments: Any, named: Any) -> Any:
    try:
        result = function(*arguments, **named)
    except BaseException as error:
        stay.end(error)
        raise
    stay.end(None)
    refuse_awaitable(policy, function, result)
    return result
