from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from functools import partial
from typing import Any

import pytest

from insula.kernel import clock_of_process, randomness_of_process
from insula.resilience import TimedOut, Timeout
from insula.testing import VirtualClock, virtual_time


def test_a_thread_that_blocks_lets_the_time_pass_itself() -> None:
    clock = VirtualClock()
    clock.block(2.5)
    clock.block(-1)
    assert clock.monotonic() == 2.5


def test_one_that_somebody_may_wake_waits_until_then_or_until_time_has_come() -> None:
    clock, wakes = VirtualClock(), [threading.Event(), threading.Event()]
    threads = [threading.Thread(target=clock.block, args=(5, wake)) for wake in wakes]
    for thread in threads:
        thread.start()
    wakes[0].set()
    threads[0].join()
    assert clock.monotonic() == 0
    while clock.next_alarm() is None:
        pass
    clock.advance(5)
    threads[1].join()
    assert wakes[1].is_set()


async def test_calls_come_in_the_order_of_their_moments_unless_they_are_cancelled() -> None:
    clock, called = VirtualClock(), []
    timers = [clock.call_at(moment, lambda moment=moment: called.append(moment)) for moment in (3.0, 1.0, 2.0, 9.0)]
    timers[2].cancel()
    assert clock.next_alarm() == 1.0
    clock.advance(3)
    assert called == []
    await asyncio.sleep(0)
    assert called == [1.0, 3.0]


async def test_time_moves_by_itself_only_when_nothing_else_can_happen() -> None:
    clock, seen = VirtualClock(), []

    async def work(name: str, wait: float) -> None:
        for _ in range(2):
            for _ in range(5):
                await asyncio.sleep(0)
            await clock.sleep(wait)
            seen.append((name, clock.monotonic()))

    await clock.run(asyncio.gather(work("slow", 3), work("quick", 1)))
    assert seen == [("quick", 1), ("quick", 2), ("slow", 3), ("slow", 6)]


async def test_what_no_time_brings_is_not_waited_for() -> None:
    with pytest.raises(RuntimeError, match="nothing can happen any more at 0 s"):
        await VirtualClock().run(asyncio.Event().wait())


def test_a_sleeper_in_another_threads_loop_is_woken_there() -> None:
    clock, woken = VirtualClock(), []

    async def sleep() -> None:
        await clock.sleep(5)
        woken.append(threading.get_ident())

    thread = threading.Thread(target=asyncio.run, args=(sleep(),))
    thread.start()
    while clock.next_alarm() is None:
        pass
    clock.advance(5)
    thread.join()
    assert woken == [thread.ident]


async def test_within_virtual_time_the_process_is_another_one() -> None:
    real = clock_of_process()
    with virtual_time(seed=7) as clock:
        assert clock_of_process() is clock
        assert await asyncio.create_task(_clock()) is clock
        assert copy_context().run(clock_of_process) is clock
        drawn = randomness_of_process().random()
    assert clock_of_process() is real
    with virtual_time(seed=7) as other:
        assert (other is clock, randomness_of_process().random()) == (False, drawn)


async def _clock() -> object:
    return clock_of_process()


@pytest.mark.parametrize("name", ["asyncio.sleep", "asyncio.to_thread"])
async def test_a_timeout_that_came_of_a_real_wait_says_so(name: str) -> None:
    release = threading.Event()
    waits: dict[str, Any] = {
        "asyncio.sleep": partial(asyncio.sleep, 60),
        "asyncio.to_thread": partial(asyncio.to_thread, release.wait, 60),
    }

    async def work() -> None:
        await waits[name]()

    with virtual_time() as clock, pytest.raises(TimedOut) as raised:
        await clock.run(Timeout(1).call(work))
    release.set()
    assert raised.value.__notes__[0].startswith(f"it was waiting in {name}, which takes real time")


async def test_a_timeout_of_a_virtual_wait_is_what_it_looks_like() -> None:
    with virtual_time() as clock, pytest.raises(TimedOut) as raised:
        await clock.run(Timeout(1).call(clock.sleep, 60))
    assert not hasattr(raised.value, "__notes__")
