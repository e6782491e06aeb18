"""However a flow ends: one clear error, every stage stopped, nothing left running."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from insula.kernel import Failure
from insula.streams import Channel, Flow, ReceiverGone

PATIENCE_SECONDS = 30


class Source:
    """Numbers without end; knows whether it was closed, and how many were pulled."""

    def __init__(self, failing_at: int | None = None) -> None:
        self.pulled = 0
        self.under_way = asyncio.Event()
        self.closed = 0
        self.failing_at = failing_at

    async def numbers(self) -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                if self.pulled == self.failing_at:
                    raise OSError("no more paper")
                self.pulled += 1
                if self.pulled == 20:
                    self.under_way.set()
                yield self.pulled
        finally:
            await asyncio.sleep(0)  # a cleanup that takes its time
            self.closed += 1


async def nothing_else_runs() -> bool:
    """Whether only this task is left."""
    return asyncio.all_tasks() == {asyncio.current_task()}


async def same(number: int) -> int:
    await asyncio.sleep(0)
    return number


SHAPES: dict[str, Callable[[Flow[int]], Flow[Any]]] = {
    "plain": lambda flow: flow.map(same),
    "concurrent": lambda flow: flow.map(same, concurrency=4),
    "as completed": lambda flow: flow.map(same, concurrency=4, ordered=False),
    "buffer": lambda flow: flow.buffer(3).map(same),
    "batch": lambda flow: flow.batch(3),
    "batch with time": lambda flow: flow.batch(3, within=100),
    "window": lambda flow: flow.window(100, limit=3),
    "merge": lambda flow: flow.merge(Flow(Source().numbers()).map(same, concurrency=2)),
    "partition": lambda flow: flow.partition(lambda n: n % 3, lanes=2, each=lambda lane: lane.map(same).buffer(2)),
    "throttle": lambda flow: flow.throttle(1000, burst=1000),
    "all": lambda flow: (
        flow.map(same, concurrency=2).buffer(2).partition(str, lanes=3, each=lambda lane: lane.batch(2)).batch(2)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_who_leaves_early_stops_every_stage_and_closes_the_source(shape: str) -> None:
    source = Source()
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(aiter(SHAPES[shape](Flow(source.numbers())))) as items:
        await anext(items)
    assert source.closed == 1
    assert await nothing_else_runs()


@pytest.mark.parametrize("shape", SHAPES)
async def test_cancelling_whoever_takes_stops_every_stage_and_closes_the_source(shape: str) -> None:
    source = Source()
    running = asyncio.create_task(SHAPES[shape](Flow(source.numbers())).run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await source.under_way.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert source.closed == 1
    assert await nothing_else_runs()


@pytest.mark.parametrize("turns", range(1, 8))
async def test_cancelling_it_again_while_it_stops_leaves_no_stage_running(turns: int) -> None:
    sources = [Source() for _ in range(3)]
    first, *others = (Flow(source.numbers()).buffer(3) for source in sources)
    running = asyncio.create_task(first.merge(*others).run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await sources[-1].under_way.wait()
    running.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await nothing_else_runs()


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_error_of_the_source_arrives_as_it_is_with_a_note_and_everything_is_stopped(shape: str) -> None:
    source = Source(failing_at=20)
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(OSError, match="no more paper") as failure:
            await SHAPES[shape](Flow(source.numbers())).run()
    assert failure.value.__notes__ == ["Raised in stage source of a flow."]
    assert source.closed == 1
    assert await nothing_else_runs()


async def test_an_error_names_its_stage_and_comes_after_what_was_before_it() -> None:
    async def inverse(number: int) -> int:
        return 6 // (3 - number)

    for concurrency in (1, 4):
        items = aiter(Flow(range(9)).map(same).map(inverse, concurrency=concurrency))
        assert [await anext(items) for _ in range(3)] == [2, 3, 6]
        with pytest.raises(ZeroDivisionError) as failure:
            await anext(items)
        assert failure.value.__notes__ == ["Raised in stage 2. map(inverse) of a flow."]


async def test_an_error_that_allows_no_attributes_arrives_as_it_is() -> None:
    @dataclass(frozen=True)
    class Frozen(Exception):
        code: int

    async def fail(number: int) -> None:
        raise Frozen(number)

    with pytest.raises(Frozen) as failure:
        await Flow(range(9)).map(fail).run()
    assert failure.value.__notes__ == ["Raised in stage 1. map(fail) of a flow."]


async def test_one_error_that_is_diverted_again_and_again_does_not_grow() -> None:
    error = OSError("always the same")

    def fail(number: int) -> None:
        raise error

    await Flow(range(9)).map(fail, divert=lambda *_: None).run()
    assert error.__notes__ == ["Raised in stage 1. map(fail) of a flow."]


async def test_an_item_that_fails_can_be_diverted_with_its_error_and_the_others_go_on() -> None:
    diverted = []

    async def set_aside(number: int, error: Exception) -> None:
        await asyncio.sleep(0)
        diverted.append((number, type(error)))

    async def half(number: int) -> int:
        return 2 // number

    for concurrency in (1, 2):
        flow = Flow([2, 0, 1]).map(half, concurrency=concurrency, divert=set_aside)
        assert await flow.collect(limit=9) == [1, 2]
        assert flow.counters()[1].dropped == 1
    assert diverted == [(0, ZeroDivisionError)] * 2


async def test_an_error_while_diverting_ends_the_flow() -> None:
    def refuse(number: int, error: Exception) -> None:
        raise OSError("no room for failures")

    with pytest.raises(OSError, match="no room"):
        await Flow([0]).map(lambda n: 1 // n, divert=refuse).run()


async def test_a_function_that_raises_the_end_of_an_iteration_does_not_end_the_flow_in_silence() -> None:
    async def exhausted(number: int) -> int:
        raise StopAsyncIteration

    for concurrency in (1, 2):
        with pytest.raises(RuntimeError, match=r"stage 1\. map\(exhausted\) of a flow raised StopAsyncIteration"):
            await Flow(range(3)).map(exhausted, concurrency=concurrency).run()


async def test_an_error_of_whoever_takes_is_that_error_and_everything_is_stopped() -> None:
    source = Source()
    with pytest.raises(OSError, match="taker"):  # noqa: PT012 - the block is the case
        async with aclosing(aiter(Flow(source.numbers()).buffer(3))) as items:
            async for _ in items:
                raise OSError("taker")
    assert (source.closed, await nothing_else_runs()) == (1, True)


async def test_a_loop_that_is_left_without_closing_is_stopped_when_nobody_holds_it() -> None:
    source = Source()
    async for _ in Flow(source.numbers()).buffer(3):
        break
    gc.collect()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (source.closed, await nothing_else_runs()) == (1, True)


async def test_a_task_of_a_stage_that_somebody_else_cancels_is_an_error_not_a_hang() -> None:
    items = aiter(Flow(Source().numbers()).buffer(1))
    await anext(items)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(Failure, match=r"stage 1\. buffer\(1\) of a flow was stopped by somebody else"):
            _ = [item async for item in items]
    assert await nothing_else_runs()


async def test_an_error_in_a_cleanup_is_told_alone_or_as_a_note_beside_the_first() -> None:
    async def untidy() -> AsyncIterator[int]:
        try:
            yield 1
            yield 0
        finally:
            raise OSError("cleanup")

    with pytest.raises(OSError, match="cleanup"):
        await Flow(untidy()).take(1).run()
    with pytest.raises(ZeroDivisionError) as failure:
        await Flow(untidy()).map(lambda n: 1 // n).run()
    assert failure.value.__notes__[-1] == "While the flow was stopped: OSError('cleanup')"


async def test_what_a_stopped_flow_had_inside_counts_as_dropped() -> None:
    flow = Flow(range(100)).buffer(5).take(3)
    await flow.run()
    for counters in flow.counters():
        assert counters.depth == 0
        assert counters.entered == counters.left + counters.dropped


async def test_the_thread_of_a_source_ends_and_cleans_up_when_the_flow_ends_early() -> None:
    closed = threading.Event()

    def read() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    assert await Flow.from_thread(read, ahead=2).take(3).run() == 3
    assert await asyncio.to_thread(closed.wait, PATIENCE_SECONDS)


async def test_a_thread_of_a_source_that_is_made_to_end_is_no_end_of_the_flow() -> None:
    def read() -> Iterator[int]:
        yield 1
        raise SystemExit(1)

    with pytest.raises(Failure, match="its thread was ended"):
        await Flow.from_thread(read).run()


async def test_the_function_of_a_source_may_fail_at_channels_of_its_own() -> None:
    def read() -> Iterator[int]:
        other = Channel[int](1).blocking
        other.cancel()
        other.send(1)
        yield 1

    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(ReceiverGone):
            await Flow.from_thread(read).run()


async def test_an_error_on_the_thread_of_a_source_arrives_as_it_is() -> None:
    def read() -> Iterator[int]:
        yield 1
        raise OSError("no disk")

    items = aiter(Flow.from_thread(read))
    assert await anext(items) == 1
    with pytest.raises(OSError, match="no disk"):
        await anext(items)
