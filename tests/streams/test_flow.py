"""What each stage of a flow makes of its items."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.streams import Channel, ChannelFull, Flow, Overflow, SenderGone


async def doubled(number: int) -> int:
    """Twice as much, after a turn of the loop."""
    await asyncio.sleep(0)
    return number * 2


async def slowly_up_to(count: int) -> AsyncIterator[int]:
    """Numbers from an async source."""
    for number in range(count):
        await asyncio.sleep(0)
        yield number


async def test_a_flow_takes_from_what_can_be_iterated() -> None:
    channel = Channel[int](5)
    for number in range(3):
        await channel.send(number)
    channel.close()
    for source in (range(3), slowly_up_to(3), channel):
        assert await Flow(source).collect(limit=5) == [0, 1, 2]


async def test_map_takes_plain_functions_async_ones_and_plain_ones_that_return_an_awaitable() -> None:
    assert await Flow(range(3)).map(lambda n: n * 2).collect(limit=5) == [0, 2, 4]
    assert await Flow(range(3)).map(doubled).collect(limit=5) == [0, 2, 4]
    assert await Flow(range(3)).map(lambda n: doubled(n)).collect(limit=5) == [0, 2, 4]  # noqa: PLW0108 - the case


async def test_filter_keeps_what_its_predicate_is_true_for() -> None:
    async def is_odd(number: int) -> bool:
        return number % 2 == 1

    assert await Flow(range(5)).filter(lambda n: n % 2 == 0).collect(limit=5) == [0, 2, 4]
    assert await Flow(range(5)).filter(is_odd, concurrency=2).collect(limit=5) == [1, 3]


class Gates:
    """A function whose calls end when the test says so, and which counts how many run."""

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.running = self.most = 0
        self.begun: list[int] = []

    async def __call__(self, number: int) -> int:
        self.begun.append(number)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gates[number].wait()
        finally:
            self.running -= 1
        return number

    async def open(self, *numbers: int) -> None:
        for number in numbers:
            self.gates[number].set()
            await turns()


async def turns(count: int = 12) -> None:
    """Let every task go as far as it can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_concurrency_runs_so_many_at_once_and_an_ordered_stage_gives_them_in_order() -> None:
    gates = Gates()
    collecting = asyncio.create_task(Flow(range(4)).map(gates, concurrency=3).collect(limit=9))
    await turns()
    assert gates.begun == [0, 1, 2]
    await gates.open(2, 1, 0, 3)
    assert await collecting == [0, 1, 2, 3]
    assert gates.most == 3


async def test_an_unordered_stage_gives_results_as_they_are_completed() -> None:
    gates = Gates()
    collecting = asyncio.create_task(Flow(range(4)).map(gates, concurrency=3, ordered=False).collect(limit=9))
    await turns()
    await gates.open(2, 3, 1, 0)
    assert await collecting == [2, 3, 1, 0]


async def test_batch_makes_lists_and_the_last_may_be_shorter() -> None:
    assert await Flow(range(5)).batch(2).collect(limit=9) == [[0, 1], [2, 3], [4]]
    assert await Flow(range(4)).batch(2).collect(limit=9) == [[0, 1], [2, 3]]
    assert await Flow(()).batch(2).collect(limit=9) == []


async def test_merge_gives_everything_of_every_flow_and_keeps_the_order_of_each() -> None:
    merged = await Flow(range(5)).merge(Flow(slowly_up_to(3)).map(lambda n: n + 10), Flow(())).collect(limit=20)
    assert [n for n in merged if n < 10] == [0, 1, 2, 3, 4]
    assert [n for n in merged if n >= 10] == [10, 11, 12]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 9))), st.integers(1, 4))
def test_partition_keeps_the_order_of_every_key(items: list[tuple[str, int]], lanes: int) -> None:
    async def wait_a_while(item: tuple[str, int]) -> tuple[str, int]:
        await turns(item[1])
        return item

    flow = Flow(items).partition(lambda item: item[0], lanes=lanes, each=lambda lane: lane.map(wait_a_while).buffer(2))
    given_back = asyncio.run(flow.collect(limit=1000))
    for key in "abcde":
        assert [item for item in given_back if item[0] == key] == [item for item in items if item[0] == key]


async def test_lanes_of_a_partition_run_side_by_side() -> None:
    gates = Gates()
    flow = Flow(range(3)).partition(lambda number: number, lanes=2, each=lambda lane: lane.map(gates))
    collecting = asyncio.create_task(flow.collect(limit=9))
    await turns(20)
    assert sorted(gates.begun) == [0, 1]
    await gates.open(1, 0, 2)
    assert sorted(await collecting) == [0, 1, 2]


async def test_tee_sends_a_copy_of_each_item_to_a_channel_and_closes_it_at_the_end() -> None:
    channel = Channel[int](10)
    assert await Flow(range(3)).tee(channel).map(doubled).collect(limit=9) == [0, 2, 4]
    assert [item async for item in channel] == [0, 1, 2]


async def test_tee_goes_on_alone_once_the_receiver_of_its_channel_has_left() -> None:
    channel = Channel[int](1)
    channel.cancel()
    assert await Flow(range(3)).tee(channel).collect(limit=9) == [0, 1, 2]


async def test_tee_tells_its_channel_when_the_flow_fails_or_is_stopped() -> None:
    failed, stopped = Channel[int](9), Channel[int](9)
    with pytest.raises(ZeroDivisionError):
        await Flow([1, 0]).map(lambda n: 1 // n).tee(failed).run()
    await Flow(range(9)).tee(stopped).take(1).run()
    with pytest.raises(SenderGone, match="division"):
        _ = [item async for item in failed]
    with pytest.raises(SenderGone, match=r"stopped before its end, at stage 1\. tee"):
        _ = [item async for item in stopped]


async def test_take_ends_a_flow_that_has_no_end() -> None:
    def for_ever() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    assert await Flow(for_ever()).map(doubled, concurrency=3).take(3).collect(limit=9) == [0, 2, 4]


async def test_a_buffer_that_drops_goes_on_pulling_and_counts_what_it_dropped() -> None:
    flow = Flow(slowly_up_to(20)).buffer(5, overflow=Overflow.DROP_OLDEST)
    items = aiter(flow)
    assert await anext(items) == 0
    await turns(50)
    assert [item async for item in items] == [15, 16, 17, 18, 19]
    buffered = flow.counters()[1]
    assert (buffered.entered, buffered.left, buffered.dropped, buffered.depth) == (20, 6, 14, 0)


async def test_a_buffer_that_fails_ends_the_flow_with_an_error_that_names_it() -> None:
    items = aiter(Flow(range(20)).buffer(5, overflow=Overflow.FAIL))
    assert await anext(items) == 0
    await turns(50)
    with pytest.raises(ChannelFull, match=r"stage 1\. buffer\(5\) of a flow: all 5 places are taken"):
        _ = [item async for item in items]


async def test_a_function_that_blocks_runs_on_a_thread_and_keeps_its_surroundings() -> None:
    names = set()

    def read() -> Iterator[int]:
        names.add(threading.current_thread().name)
        yield from range(100)

    assert await Flow.from_thread(read, ahead=3).collect(limit=100) == list(range(100))
    assert names == {"insula flow: source read"}


async def test_a_flow_can_be_run_again_and_its_counters_go_on() -> None:
    flow = Flow(range(10)).filter(lambda n: n > 2).batch(2)
    assert await flow.run() == await flow.run() == 4
    source, filtered, batched = flow.counters()
    assert (source.name, source.entered, source.left) == ("source", 20, 20)
    assert (filtered.name, filtered.entered, filtered.left, filtered.dropped) == ("1. filter(<lambda>)", 20, 14, 6)
    assert (batched.name, batched.entered, batched.left, batched.depth) == ("2. batch(2)", 14, 14, 0)


async def test_collect_refuses_more_than_its_limit() -> None:
    assert await Flow(range(3)).collect(limit=3) == [0, 1, 2]
    with pytest.raises(OverflowError, match="more than limit=3 items"):
        await Flow(range(4)).collect(limit=3)


async def test_a_plain_source_lets_other_tasks_have_their_turn() -> None:
    others = 0

    async def another() -> None:
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    task = asyncio.create_task(another())
    await Flow(range(1000)).run()
    task.cancel()
    assert others > 10


REFUSED: dict[str, Any] = {
    "Flow: source=3 cannot be iterated": lambda _: Flow(3),  # type: ignore[call-overload, arg-type]
    "Flow.map: concurrency=0": lambda flow: flow.map(str, concurrency=0),
    "Flow.map: concurrency=True": lambda flow: flow.map(str, concurrency=True),
    "Flow.filter: concurrency=-1": lambda flow: flow.filter(bool, concurrency=-1),
    "Flow.batch: size=0": lambda flow: flow.batch(0),
    "Flow.batch: within=nan": lambda flow: flow.batch(2, within=float("nan")),
    "Flow.batch: within=-1": lambda flow: flow.batch(2, within=-1),
    "Flow.batch: within=True": lambda flow: flow.batch(2, within=True),
    "Flow.window: seconds=0": lambda flow: flow.window(0, limit=1),
    "Flow.window: limit=0": lambda flow: flow.window(1, limit=0),
    "Flow.buffer: size=1.5": lambda flow: flow.buffer(1.5),
    "Flow.buffer: overflow='drop' is no strategy": lambda flow: flow.buffer(1, overflow="drop"),
    "Flow.throttle: count=0": lambda flow: flow.throttle(0),
    "Flow.throttle: per=inf": lambda flow: flow.throttle(1, per=float("inf")),
    "Flow.throttle: burst=0": lambda flow: flow.throttle(1, burst=0),
    "Flow.take: count=0": lambda flow: flow.take(0),
    "Flow.partition: lanes=0": lambda flow: flow.partition(str, lanes=0, each=lambda lane: lane),
    "Flow.partition: each= must return a flow": lambda flow: flow.partition(str, lanes=2, each=lambda _: Flow(())),
    "Flow.from_thread: ahead=0": lambda _: Flow.from_thread(list, ahead=0),
    "Flow.from_subscription: in_flight=0": lambda _: Flow.from_subscription(slowly_up_to(1), in_flight=0),  # type: ignore[type-var]
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_makes_no_sense_is_refused_by_name_when_the_flow_is_made(told: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refusal:
        REFUSED[told](Flow(range(3)))
    assert told in str(refusal.value)
