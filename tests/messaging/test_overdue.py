"""One alarm watches all handlers of a module: each has its time, none more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from insula.messaging.overdue import Overdue

SECONDS = 0.05


async def begun(overdue: Overdue, work: Callable[[], Awaitable[object]]) -> bool:
    """Whether the work ended in its time; it is cancelled then."""

    async def run() -> None:
        await work()

    task = asyncio.create_task(run())
    try:
        return await overdue.wait(task)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_ends_in_its_time_is_told_at_once_also_when_it_fails() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise OSError

    overdue = Overdue(60)
    assert await asyncio.gather(begun(overdue, lambda: asyncio.sleep(0)), begun(overdue, fails)) == [True, True]
    assert overdue._waiting == {}


async def test_each_of_several_is_over_its_time_when_its_own_is_over() -> None:
    overdue, loop = Overdue(SECONDS), asyncio.get_running_loop()

    async def late(after: float) -> float:
        begins = asyncio.Event()
        loop.call_later(after, begins.set)
        await begins.wait()
        started = loop.time()
        assert not await begun(overdue, asyncio.Event().wait)
        return loop.time() - started

    took = await asyncio.gather(late(0), late(0.02), late(0.04))
    assert min(took) >= SECONDS
    assert overdue._waiting == {}
    assert not await begun(overdue, asyncio.Event().wait)  # the alarm goes again after it had rested


async def test_waiting_that_is_cancelled_leaves_the_task_alone() -> None:
    overdue, gate = Overdue(60), asyncio.Event()
    task = asyncio.create_task(gate.wait())
    waiting = asyncio.create_task(overdue.wait(task))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (task.done(), overdue._waiting) == (False, {})
    gate.set()
    assert await task
