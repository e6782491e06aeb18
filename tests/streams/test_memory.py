"""Memory stays flat however much faster the producer is."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator

from insula.streams import Channel, Flow

MILLION = 1_000_000
MEBIBYTE = 2**20


async def test_a_channel_between_a_fast_producer_and_a_slow_consumer_holds_no_more_than_its_size() -> None:
    """A million items; the consumer takes ten, then lets the producer go as far as it may."""
    channel = Channel[int](100)
    deepest = 0

    async def produce() -> None:
        for number in range(MILLION):
            await channel.send(number)
        channel.close()

    async def consume() -> int:
        nonlocal deepest
        count = 0
        async for _ in channel:
            count += 1
            if count % 10 == 0:
                await asyncio.sleep(0)
                if count % 1000 == 0:
                    deepest = max(deepest, channel.counters().depth)
        return count

    producing = asyncio.create_task(produce())
    assert await consume() == MILLION
    await producing
    assert deepest == 100


async def test_a_flow_takes_no_more_memory_for_many_items_than_for_few() -> None:
    """Every stage that holds items, before a taker who is slow; each item is a text of a kilobyte."""

    def texts(count: int) -> Iterator[str]:
        for number in range(count):
            yield str(number) * (1000 // len(str(number)))

    async def same(text: str) -> str:
        return text

    async def peak(count: int) -> int:
        flow = (
            Flow(texts(count))
            .buffer(100)
            .partition(lambda text: text, lanes=4, each=lambda lane: lane.map(same).buffer(10))
            .map(same, concurrency=4)
            .batch(10, within=60)
        )
        tracemalloc.start()
        try:
            async for _ in flow:
                await asyncio.sleep(0)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = await peak(2_000), await peak(10_000)
    assert many < few + MEBIBYTE


async def test_the_source_of_a_flow_is_never_further_ahead_than_its_places() -> None:
    ahead = furthest = 0

    async def numbers() -> AsyncIterator[int]:
        nonlocal ahead, furthest
        for number in range(MILLION // 10):
            ahead += 1
            furthest = max(furthest, ahead)
            yield number

    async for _ in Flow(numbers()).buffer(50).batch(5):
        ahead -= 5
        await asyncio.sleep(0)
    assert furthest <= 50 + 5 + 5  # in the buffer, in the batch that is made, in the one that was given
