"""The rules of the Reactive Streams specification (1.0.4) that apply where the subscriber pulls.

`request(1)` is a pull, `onNext` its answer, `onComplete` the end of the iteration, `onError` an exception, `cancel` the
closing of the iterator. Random flows, random sources, and takers that stop anywhere.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.streams import Flow

T = TypeVar("T")


class Item:
    """Something that can be watched."""

    def __init__(self, number: int) -> None:
        self.number = number


class Publisher:
    """A source that checks how it is treated, and may fail."""

    def __init__(self, count: int, fails: bool, turns: int) -> None:
        self.count, self.fails, self.turns = count, fails, turns
        self.pulled = self.opened = self.closed = self.pulled_after_end = 0
        self.over = self.busy = self.overlapped = False

    def __aiter__(self) -> Publisher:
        self.opened += 1
        return self

    async def __anext__(self) -> Item:
        self.overlapped |= self.busy
        self.pulled_after_end += self.over
        self.busy = True
        try:
            for _ in range(self.turns):
                await asyncio.sleep(0)
            if self.pulled == self.count:
                self.over = True
                if self.fails:
                    raise OSError("source")
                raise StopAsyncIteration
            self.pulled += 1
            return Item(self.pulled - 1)
        finally:
            self.busy = False

    async def aclose(self) -> None:
        self.over = True
        self.closed += 1


async def same(item: Item) -> Item:
    await asyncio.sleep(0)
    return item


def number_of(item: Item) -> int:
    return item.number


@dataclass(frozen=True)
class Shape:
    """A stage that changes nothing, and how many items it may hold."""

    name: str
    build: Callable[[Flow[Item]], Flow[Item]]
    places: int

    def __repr__(self) -> str:
        return self.name


SHAPES = [
    Shape("map", lambda flow: flow.map(same), 0),
    Shape("filter", lambda flow: flow.filter(lambda item: item.number >= 0), 0),
    Shape("concurrent", lambda flow: flow.map(same, concurrency=3), 3),
    Shape("as completed", lambda flow: flow.map(same, concurrency=2, ordered=False), 2),
    Shape("buffer", lambda flow: flow.buffer(4), 4),
    Shape("merge", lambda flow: flow.merge(Flow[Item](())), 1),
    Shape("partition", lambda flow: flow.partition(number_of, lanes=2, each=lambda lane: lane.map(same)), 1 + 2 + 2),
    Shape("batch", lambda flow: flow.batch(2, within=1000).map(lambda batch: batch[0]), 2 + 2),
]


@dataclass
class Seen:
    """What a taker saw of a run."""

    publisher: Publisher
    flow: Flow[Item]
    received: int = 0
    completed: bool = False
    error: Exception | None = None
    furthest: int = 0
    signals_after_end: int = 0
    left_running: int = 0


async def take(publisher: Publisher, shapes: list[Shape], most: int) -> Seen:
    """Take up to so many items, one by one, letting others run in between; then look whether more would come."""
    flow = Flow[Item](publisher)
    for shape in shapes:
        flow = shape.build(flow)
    seen = Seen(publisher, flow)
    others = asyncio.all_tasks()
    async with asyncio.timeout(30), aclosing(aiter(flow)) as items:
        while seen.received < most and not seen.completed and seen.error is None:
            try:
                await anext(items)
            except StopAsyncIteration:
                seen.completed = True
            except OSError as error:
                seen.error = error
            else:
                seen.received += 1
            await turns()
            taken = seen.received * (2 if any(shape.name == "batch" for shape in shapes) else 1)
            seen.furthest = max(seen.furthest, publisher.pulled - taken)
    for _ in range(2):
        try:
            await anext(items)
            seen.signals_after_end += 1
        except StopAsyncIteration:
            pass
    seen.left_running = len(asyncio.all_tasks() - others)
    return seen


async def turns() -> None:
    for _ in range(15):
        await asyncio.sleep(0)


PUBLISHERS = st.builds(Publisher, st.integers(0, 12), st.booleans(), st.integers(0, 2))
FLOWS = st.lists(st.sampled_from([shape for shape in SHAPES if shape.name != "batch"]), max_size=3)
TAKEN = st.integers(0, 14)


def law(check: Callable[[Seen, list[Shape], int], None]) -> Callable[[], None]:
    """Check it on random flows, sources and takers."""

    @settings(max_examples=120, deadline=None)
    @given(publisher=PUBLISHERS, shapes=FLOWS, most=TAKEN)
    def checked(publisher: Publisher, shapes: list[Shape], most: int) -> None:
        check(asyncio.run(take(publisher, shapes, most)), shapes, most)

    checked.__name__, checked.__doc__ = check.__name__, check.__doc__
    return checked


@law
def test_no_more_is_given_than_was_asked_for(seen: Seen, shapes: list[Shape], most: int) -> None:
    """§1.1, §2.1: signals do not exceed demand, and every stage asks for what it has places for."""
    assert seen.received <= most
    assert seen.furthest <= sum(shape.places for shape in shapes)


@law
def test_less_may_be_given_and_then_the_end(seen: Seen, shapes: list[Shape], most: int) -> None:
    """§1.2, §1.5: a source that ends gives what it has and completes, if its taker asks for more."""
    if not seen.publisher.fails and most > seen.publisher.count:
        assert (seen.received, seen.completed, seen.error) == (seen.publisher.count, True, None)


@law
def test_a_source_is_asked_for_one_thing_at_a_time(seen: Seen, shapes: list[Shape], most: int) -> None:
    """§1.3, §2.7: signals and requests are serial."""
    assert not seen.publisher.overlapped


@law
def test_a_failure_is_told_once_after_what_came_before(seen: Seen, shapes: list[Shape], most: int) -> None:
    """§1.4, §1.6: a source that fails is an error to its taker, and cancelled for the stages."""
    if seen.publisher.fails and most > seen.publisher.count:
        assert isinstance(seen.error, OSError)
        assert not seen.completed
        if not any(shape.name in {"merge", "partition"} for shape in shapes):
            assert seen.received == seen.publisher.count


@law
def test_after_the_end_nothing_more_is_given(seen: Seen, shapes: list[Shape], most: int) -> None:
    """§1.7, §1.8, §3.6: no signal follows the end, an error or the cancellation."""
    assert seen.signals_after_end == 0


@law
def test_after_the_end_nothing_more_is_asked_for(seen: Seen, shapes: list[Shape], most: int) -> None:
    """§2.4, §3.13: whoever saw the end of a source leaves it alone."""
    assert seen.publisher.pulled_after_end == 0


@law
def test_a_source_is_subscribed_to_once_and_closed_once(seen: Seen, shapes: list[Shape], most: int) -> None:
    """§1.10, §2.5, §3.7: one subscription a run; cancelling again changes nothing."""
    assert seen.publisher.opened <= 1
    assert seen.publisher.closed == seen.publisher.opened


@law
def test_nothing_runs_after_the_end(seen: Seen, shapes: list[Shape], most: int) -> None:
    """§2.6, §3.12: whoever ends a flow, everything in it stops."""
    assert seen.left_running == 0


@law
def test_nothing_runs_before_the_first_demand(seen: Seen, shapes: list[Shape], most: int) -> None:
    """§1.1, §3.8: without a request there is no signal."""
    if most == 0:
        assert (seen.publisher.opened, seen.publisher.pulled) == (0, 0)


@law
def test_every_item_is_accounted_for(seen: Seen, shapes: list[Shape], most: int) -> None:
    """What entered a stage left it or was dropped, once nothing runs; no stage gives more than it got."""
    for counters in seen.flow.counters():
        assert counters.entered == counters.left + counters.dropped
        assert counters.depth == 0


@given(st.integers(1, 5), st.integers(0, 12))
def test_a_taker_of_batches_is_no_further_behind_than_the_open_batch(most: int, count: int) -> None:
    """§1.1: a batch has places for its size, and the item in the hand of its pump."""
    seen = asyncio.run(take(Publisher(count, fails=False, turns=1), [SHAPES[-1]], most))
    assert seen.furthest <= SHAPES[-1].places


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
async def test_after_the_end_no_item_is_held(shape: Shape) -> None:
    """§3.13: cancelling lets go of every reference."""
    watched: list[weakref.ref[Item]] = []

    async def items() -> AsyncIterator[Item]:
        for number in range(10):
            item = Item(number)
            watched.append(weakref.ref(item))
            yield item
            del item

    flow = shape.build(Flow(items()))
    await flow.take(2).run()
    await turns()
    gc.collect()
    assert [reference for reference in watched if reference() is not None] == []


async def test_closing_twice_is_closing_once() -> None:
    """§3.5, §3.7: cancelling is idempotent."""
    publisher = Publisher(9, fails=False, turns=1)
    items = aiter(Flow[Item](publisher).buffer(2))
    await anext(items)
    await items.aclose()
    await items.aclose()
    assert publisher.closed == 1


async def returned(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def test_two_takers_of_one_run_are_refused_and_two_runs_are_apart() -> None:
    """§1.10, §1.11, §2.7: a run has one taker; a flow may be taken by several, each with a run of its own."""

    async def same(number: int) -> int:
        return number

    flow = Flow(range(4)).map(same, concurrency=2)
    items = aiter(flow)
    both: list[Any] = await asyncio.gather(*(returned(anext(items)) for _ in range(2)), return_exceptions=True)
    assert [type(outcome) for outcome in both] == [int, RuntimeError]
    await items.aclose()
    assert await asyncio.gather(flow.collect(limit=4), flow.collect(limit=4)) == [[0, 1, 2, 3]] * 2
