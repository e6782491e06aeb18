from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context

import pytest

from insula.kernel import Unavailable, ambient_deadline
from insula.resilience import AimdLimit, Bulkhead, BulkheadFull, ResiliencePipeline, TimedOut, Timeout
from insula.resilience.events import Refused, Waited
from insula.resilience.thread_waiter import ThreadWaiter
from insula.testing import VirtualClock
from support.ways import Script, Way


async def turns() -> None:
    """Let every task that can run come to its next wait."""
    for _ in range(10):
        await asyncio.sleep(0)


def counts(bulkhead: Bulkhead) -> tuple[int, int, int]:
    """How many run, wait, and were refused."""
    snapshot = bulkhead.snapshot()
    return snapshot.running, snapshot.waiting, snapshot.refused


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Another thread of the same process."""
    thread = threading.Thread(target=copy_context().run, args=(work,))
    thread.start()
    return thread


def test_payments_full_is_refused_at_once_and_counted_and_inventory_is_unaffected(way: Way) -> None:
    payments, inventory = Bulkhead(2, name="payments"), Bulkhead(5, name="inventory")
    with payments, payments:
        script = Script("paid")
        with pytest.raises(BulkheadFull, match="payments: all 2 places are taken; try again later"):
            way.call(payments, script)
        assert (script.calls, way.clock.monotonic()) == (0, 0.0)
        assert way.call(inventory, Script("in stock")) == "in stock"
        assert (counts(payments), counts(inventory)) == ((2, 0, 1), (0, 0, 0))
    assert way.call(payments, script) == "paid"
    assert counts(payments) == (0, 0, 1)


def test_whoever_is_refused_may_find_the_service_unavailable(way: Way) -> None:
    bulkhead = Bulkhead(1)
    with bulkhead, pytest.raises(Unavailable) as refused:
        way.call(bulkhead, Script("paid"))
    assert (refused.value.status, refused.value.retry_after) == (503, None)


@pytest.mark.parametrize(
    "error", [ConnectionError("no"), IndexError("none"), asyncio.CancelledError(), GeneratorExit()]
)
def test_a_call_that_crashes_gives_its_place_back_once(way: Way, error: BaseException) -> None:
    bulkhead = Bulkhead(1, waiting=1)
    for _ in range(3):
        with pytest.raises(type(error)):
            way.call(bulkhead, Script(error))
    assert way.call(bulkhead, Script("paid")) == "paid"
    assert counts(bulkhead) == (0, 0, 0)


async def test_those_who_wait_have_their_turn_in_the_order_of_arrival(clock: VirtualClock) -> None:
    bulkhead, began = Bulkhead(2, waiting=4), []

    @bulkhead
    async def charge(number: int) -> None:
        began.append((number, clock.monotonic()))
        await clock.sleep(1)

    await clock.run(asyncio.gather(*(charge(number) for number in range(6))))
    assert began == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]


async def test_the_line_is_bounded(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(1, waiting=2, name="payments")
    results = await clock.run(
        asyncio.gather(*(bulkhead.call(clock.sleep, 1) for _ in range(5)), return_exceptions=True)
    )
    assert [type(each) for each in results] == [type(None)] * 3 + [BulkheadFull] * 2
    assert str(results[-1]).startswith("payments: all 1 places are taken, and 2 calls wait;")
    assert counts(bulkhead) == (0, 0, 2)


def test_nobody_waits_longer_than_he_may(way: Way) -> None:
    bulkhead = Bulkhead(1, waiting=1, wait_seconds=2)

    def caller() -> None:
        with pytest.raises(BulkheadFull, match="no place became free in the 2 s it could wait"):
            way.call(bulkhead, Script("paid"))

    with bulkhead:
        if way.is_async:
            caller()
        else:
            thread = in_thread(caller)
            while way.clock.next_alarm() is None:
                pass
            way.clock.advance(2)
            thread.join()
    assert way.clock.monotonic() == 2.0
    assert counts(bulkhead) == (0, 0, 1)


async def test_nobody_waits_past_his_deadline(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(1, waiting=1)
    token = ambient_deadline.set(3.0)
    async with bulkhead:
        with pytest.raises(BulkheadFull, match="in the 3 s it could wait"):
            await clock.run(bulkhead.call(clock.sleep, 1))
        with pytest.raises(BulkheadFull, match="its deadline is over"):
            await bulkhead.call(clock.sleep, 1)
    ambient_deadline.reset(token)
    assert counts(bulkhead) == (0, 0, 2)


async def test_a_timeout_around_it_ends_the_wait(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(1, waiting=1)
    async with bulkhead:
        with pytest.raises(TimedOut):
            await clock.run(ResiliencePipeline(Timeout(2), bulkhead).call(clock.sleep, 1))
    assert (clock.monotonic(), counts(bulkhead)[:2]) == (2.0, (0, 0))


async def test_one_that_is_cancelled_while_it_waits_leaves_the_line(clock: VirtualClock) -> None:
    bulkhead, began = Bulkhead(1, waiting=3), []

    @bulkhead
    async def charge(number: int) -> None:
        began.append(number)
        await clock.sleep(1)

    tasks = [asyncio.create_task(charge(number)) for number in range(4)]
    await turns()
    tasks[2].cancel()
    await turns()
    assert counts(bulkhead) == (1, 2, 0)
    await clock.run(asyncio.gather(*tasks, return_exceptions=True))
    assert (began, counts(bulkhead)) == ([0, 1, 3], (0, 0, 0))


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_place_that_comes_in_the_very_step_of_a_cancellation_is_not_lost(
    clock: VirtualClock, cancelled_first: bool
) -> None:
    bulkhead = Bulkhead(1, waiting=2)
    places = bulkhead.places.current()
    async with bulkhead:
        waiting = asyncio.create_task(bulkhead.call(clock.sleep, 1))
        after = asyncio.create_task(bulkhead.call(clock.sleep, 1))
        await turns()
        if cancelled_first:
            waiting.cancel()
    assert counts(bulkhead) == (1, 1, 0)  # the place is given to the one who will never use it
    if not cancelled_first:
        waiting.cancel()
    await turns()
    assert waiting.cancelled()
    await clock.run(after)
    assert (counts(bulkhead), len(places.free)) == ((0, 0, 0), 1)


async def test_a_place_that_comes_in_the_very_step_in_which_time_is_over_is_used(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(1, waiting=1, wait_seconds=2)
    async with bulkhead:
        waiting = asyncio.create_task(bulkhead.call(clock.sleep, 0))
        await turns()
        clock.advance(2)
    await waiting
    assert counts(bulkhead) == (0, 0, 0)


@pytest.mark.parametrize("while_waiting", [True, False])
async def test_a_coroutine_that_somebody_else_closes_gives_its_place_back(
    clock: VirtualClock, while_waiting: bool
) -> None:
    bulkhead = Bulkhead(1, waiting=1)

    async def block() -> None:
        async with bulkhead:
            await clock.sleep(60)

    for work in (block, lambda: bulkhead.call(clock.sleep, 60)):
        outer = block()
        if while_waiting:
            outer.send(None)
        coroutine = work()
        copy_context().run(coroutine.send, None)
        assert counts(bulkhead) == (1, int(while_waiting), 0)
        copy_context().run(coroutine.close)
        outer.close()
        assert counts(bulkhead) == (0, 0, 0)


def test_a_thread_frees_a_place_for_a_task_on_a_loop_elsewhere(clock: VirtualClock) -> None:
    bulkhead, order = Bulkhead(1, waiting=1), []

    async def task() -> None:
        async with bulkhead:
            order.append("task")

    with bulkhead:
        loop = in_thread(lambda: asyncio.run(task()))
        while not bulkhead.snapshot().waiting:
            pass
        order.append("thread")
    loop.join()
    assert (order, counts(bulkhead)) == (["thread", "task"], (0, 0, 0))


async def test_a_task_frees_a_place_for_a_thread(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(1, waiting=1)
    order: list[str] = []
    async with bulkhead:
        thread = in_thread(lambda: bulkhead.call(order.append, "thread"))
        while not bulkhead.snapshot().waiting:
            pass
        order.append("task")
    thread.join()
    assert (order, counts(bulkhead)) == (["task", "thread"], (0, 0, 0))


def test_a_place_for_a_task_whose_loop_is_closed_goes_to_the_next(clock: VirtualClock) -> None:
    bulkhead, lost = Bulkhead(1, waiting=2), asyncio.new_event_loop()
    with bulkhead:
        coroutine = bulkhead.call(clock.sleep, 1)
        forgotten = lost.create_task(coroutine)
        lost.call_soon(lost.stop)
        lost.run_forever()
        lost.close()
        assert counts(bulkhead) == (1, 1, 0)
    assert counts(bulkhead) == (0, 0, 0)
    coroutine.close()
    assert counts(bulkhead) == (0, 0, 0)
    forgotten._log_destroy_pending = False  # type: ignore[attr-defined]  # it is, and on purpose


def test_whoever_begins_to_wait_while_a_place_is_given_back_is_seen(way: Way) -> None:
    bulkhead, waiter = Bulkhead(1, waiting=1), ThreadWaiter()
    places = bulkhead.places.current()

    class Meeting(list[None]):
        """In the midst of giving back, somebody else finds no place, and waits."""

        def append(self, place: None) -> None:
            assert places.join(waiter)
            assert not waiter.has_place
            super().append(place)

    places.free = Meeting([None])
    way.call(bulkhead, Script("paid"))
    assert waiter.has_place
    assert counts(bulkhead) == (1, 0, 0)


@pytest.mark.parametrize("limit", [1, AimdLimit(initial=1)])
def test_a_place_of_before_a_fork_is_none_afterwards(way: Way, limit: int | AimdLimit) -> None:
    bulkhead = Bulkhead(limit, waiting=1)
    places, taken = bulkhead.places.current(), ThreadWaiter()

    class Forking(Script):
        def next(self) -> str:
            places.after_fork()
            assert places.join(taken)
            return "paid"

    way.call(bulkhead, Forking())
    assert taken.has_place
    assert (counts(bulkhead), list(places.free)) == ((1, 0, 0), [])


async def test_whoever_listens_hears_of_waits_and_refusals(clock: VirtualClock) -> None:
    heard: list[object] = []
    bulkhead = Bulkhead(1, waiting=1, name="pay", listener=heard.append)
    await clock.run(asyncio.gather(*(bulkhead.call(clock.sleep, 2) for _ in range(3)), return_exceptions=True))
    assert heard == [Refused("pay", "all 1 places are taken, and 1 calls wait"), Waited("pay", 2.0)]


def test_a_listener_is_told_while_no_lock_is_held(clock: VirtualClock) -> None:
    seen: list[tuple[int, int, int]] = []
    bulkhead = Bulkhead(1, listener=lambda _: seen.append(counts(bulkhead)))
    with bulkhead, pytest.raises(BulkheadFull):
        bulkhead.call(len, "")
    assert seen == [(1, 0, 1)]


async def test_plain_functions_and_tasks_share_the_places(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(1)

    @bulkhead
    def look_up() -> str:
        return "found"

    async with bulkhead:
        with pytest.raises(BulkheadFull):
            look_up()
    assert look_up() == "found"
