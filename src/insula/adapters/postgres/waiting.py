"""Waiting for the server from synchronous code: SQLAlchemy's, an entity's that loads, a `def` handler's.

On the loop such code runs in a greenlet, out of which the driver's coroutines are awaited; on a thread it blocks.
A handler as a whole runs in one greenlet, so its awaits of its store never reach the loop as awaits of the handler,
and all that do are foreign.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet
from sqlalchemy.util.concurrency import await_, greenlet_spawn, in_greenlet

from insula.store.errors import ForeignAwait
from insula.store.guard import TurnHolder, foreign

Value = TypeVar("Value")


async def in_synchronous_code(function: Callable[..., Value], *arguments: Any) -> Value:
    """Await a call of synchronous code that may `wait_for` things."""
    if not in_greenlet():
        # The first thing that a handler awaits is where it is put into its greenlet, and must not be within another.
        await asyncio.sleep(0)
    value: Value = await greenlet_spawn(function, *arguments)
    return value


def wait_for(work: Coroutine[Any, Any, Value], loop: asyncio.AbstractEventLoop, place: str) -> Value:
    """The value of `work`, in synchronous code. Raises `ForeignAwait` in a task that is not the handler's own."""
    if in_greenlet():
        value: Value = await_(work)
        return value
    if asyncio._get_running_loop() is not loop:  # noqa: SLF001 - the one way to ask that raises nothing
        return asyncio.run_coroutine_threadsafe(work, loop).result()
    work.close()
    raise ForeignAwait(
        f"{place}: a statement runs in a task of its own (gather, create_task); a unit of work belongs to its handler: "
        "await one statement after the other"
    )


class _HandlersOwn(greenlet):  # type: ignore[misc]  # greenlet is not typed
    __sqlalchemy_greenlet_provider__ = True  # `await_` asks for it

    def __init__(self, coroutine: Coroutine[Any, Any, Any], parent: greenlet) -> None:
        super().__init__(parent=parent)
        self.gr_context = parent.gr_context
        self._coroutine = coroutine

    def run(self, value: Any, error: BaseException | None) -> Any:
        """Run the coroutine on to its end, handing what it awaits to the parent."""
        coroutine, outside = self._coroutine, self.parent.switch
        while True:
            try:
                awaited = coroutine.send(value) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            try:
                value, error = outside(_Awaited(awaited)), None
            except BaseException as thrown:
                value, error = None, thrown


class _Awaited:
    """What the handler itself awaits, as opposed to what its statements wait for."""

    __slots__ = ("future",)

    def __init__(self, future: Any) -> None:
        self.future = future


@types.coroutine
def guarded(coroutine: Coroutine[Any, Any, Value], unit: TurnHolder, place: str) -> Generator[Any, Any, Value]:
    """Await a handler's `coroutine`, but raise `ForeignAwait` inside it where it would suspend during its turn."""
    try:
        first = coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # StopIteration does not carry its type
    # It has waited for something, so it may write from here on; before a turn is given there is always a wait.
    own = _HandlersOwn(coroutine, getcurrent())
    value: Any = None
    thrown: BaseException | None = None
    try:
        value = yield first
    except BaseException as error:
        thrown = error
    result = own.switch(value, thrown)
    while not own.dead:
        try:
            if not isinstance(result, _Awaited):
                value = yield from result
            elif unit.writing is not None:
                raise foreign(result.future, coroutine, unit.writing, place)
            else:
                value = yield result.future
        except BaseException as error:
            result = own.throw(error)
        else:
            result = own.switch(value)
    return result  # type: ignore[no-any-return]  # greenlets do not carry their type
