"""Stages that go by the clock, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from insula.streams import Channel, Flow, Overflow, Window
from insula.testing import VirtualClock


async def turns(count: int = 20) -> None:
    """Let every task go as far as it can."""
    for _ in range(count):
        await asyncio.sleep(0)


class Taking:
    """Takes from a flow as fast as it comes, and notes when what came."""

    def __init__(self, flow: Flow[Any], clock: VirtualClock) -> None:
        self.taken: list[tuple[float, Any]] = []
        self._clock = clock
        self.task = asyncio.create_task(self._take(flow))

    async def _take(self, flow: Flow[Any]) -> None:
        async for item in flow:
            self.taken.append((self._clock.monotonic(), item))

    async def pass_time(self, *steps: float) -> None:
        await turns()
        for step in steps:
            self._clock.advance(step)
            await turns()


async def arriving(clock: VirtualClock, *pauses: float) -> AsyncIterator[int]:
    """Numbers, each after a pause."""
    for number, pause in enumerate(pauses):
        await clock.sleep(pause)
        yield number


async def test_a_batch_goes_when_it_is_old_enough_although_it_is_not_full() -> None:
    clock = VirtualClock()
    taking = Taking(Flow(arriving(clock, 1, 1, 9, 0, 0), clock=clock).batch(3, within=5), clock)
    await taking.pass_time(*[1] * 12)
    assert taking.taken == [(6, [0, 1]), (11, [2, 3, 4])]
    await taking.task


async def test_a_batch_goes_at_once_when_it_is_full_and_the_next_has_its_own_time() -> None:
    clock = VirtualClock()
    taking = Taking(Flow(arriving(clock, 0, 1, 1, 9), clock=clock).batch(2, within=timedelta(seconds=5)), clock)
    await taking.pass_time(*[1] * 12)
    assert taking.taken == [(1, [0, 1]), (7, [2]), (11, [3])]
    await taking.task


async def test_a_batch_that_nobody_takes_goes_on_growing_up_to_its_size() -> None:
    clock = VirtualClock()
    items = aiter(Flow(range(100), clock=clock).batch(4, within=1))
    assert await anext(items) == [0, 1, 2, 3]
    clock.advance(10)
    await turns()
    assert await anext(items) == [4, 5, 6, 7]
    await items.aclose()


async def test_windows_begin_on_the_minute_and_end_with_it() -> None:
    clock = VirtualClock(datetime(2030, 1, 1, 9, 59, 30, tzinfo=UTC))
    taking = Taking(Flow(arriving(clock, 10, 10, 20, 120), clock=clock).window(60, limit=9), clock)
    await taking.pass_time(*[10] * 24)
    minutes = [datetime(2030, 1, 1, 9, 59, tzinfo=UTC) + timedelta(minutes=n) for n in range(5)]
    assert taking.taken == [
        (30, Window(minutes[0], minutes[1], (0, 1))),
        (90, Window(minutes[1], minutes[2], (2,))),
        (160, Window(minutes[3], minutes[4], (3,))),
    ]
    await taking.task


async def test_a_window_with_more_than_its_limit_comes_in_parts() -> None:
    clock = VirtualClock()
    windows = await Flow(range(5), clock=clock).window(60, limit=2).collect(limit=9)
    assert [window.items for window in windows] == [(0, 1), (2, 3), (4,)]
    assert len({window.start for window in windows}) == 1


async def test_an_item_of_the_next_window_waits_until_the_last_one_was_taken() -> None:
    clock = VirtualClock()
    items = aiter(Flow(arriving(clock, 0, 61, 0), clock=clock).window(60, limit=9))
    first = asyncio.create_task(anext(items))
    await turns()
    clock.advance(61)
    await turns()
    assert (await first).items == (0,)
    assert (await anext(items)).items == (1, 2)


async def test_a_throttle_passes_items_evenly_and_lets_a_burst_follow_a_pause() -> None:
    clock = VirtualClock()
    even = Taking(Flow(range(4), clock=clock).throttle(2, per=10), clock)
    bursting = Taking(Flow(arriving(clock, 0, 0, 0, 30, 0, 0), clock=clock).throttle(1, per=10, burst=2), clock)
    await even.pass_time(*[1] * 60)
    assert even.taken == [(0, 0), (5, 1), (10, 2), (15, 3)]
    assert [when for when, _ in bursting.taken] == [0, 0, 10, 50, 50, 60]


async def test_fifty_items_into_a_buffer_of_ten_never_stand_above_ten_and_every_drop_is_counted() -> None:
    clock = VirtualClock()
    channel = Channel[int](10, overflow=Overflow.DROP_NEWEST, clock=clock)
    processed, deepest = [], 0

    async def produce() -> None:
        nonlocal deepest
        for number in range(50):
            await channel.send(number)
            deepest = max(deepest, channel.counters().depth)
            await clock.sleep(0.1)
        channel.close()

    async def consume() -> None:
        async for number in channel:
            await clock.sleep(0.5)
            processed.append(number)

    running = asyncio.gather(produce(), consume())
    while not running.done():
        clock.advance(0.1)
        await turns(5)
    counters = channel.counters()
    assert deepest == 10
    assert counters.entered == 50 == len(processed) + counters.dropped
    assert counters.dropped > 20
    assert processed == sorted(processed)


async def test_the_same_case_as_a_flow_waits_instead_of_dropping() -> None:
    clock = VirtualClock()
    flow = Flow(range(50), clock=clock).buffer(10).throttle(2)
    deepest = 0
    running = asyncio.create_task(flow.run())
    while not running.done():
        deepest = max(deepest, flow.counters()[1].depth)
        clock.advance(0.5)
        await turns(5)
    assert (await running, deepest) == (50, 10)
    assert flow.counters()[1].waited_seconds > 15
