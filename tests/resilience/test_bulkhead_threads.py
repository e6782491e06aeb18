"""Plain functions on the threads of a bulkhead."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context

import pytest

from insula.kernel import DeadlineExceeded, SeededRandomness, ambient_deadline, new_process, process_state
from insula.resilience import Bulkhead, BulkheadFull, GradientLimit, ResiliencePipeline, TimedOut, Timeout
from insula.resilience.threads import Work
from insula.testing import VirtualClock


class Stuck:
    """A function that ends when it is told."""

    def __init__(self) -> None:
        self.began, self.release = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.began.set()
        self.release.wait(10)
        return "paid"


async def begun(stuck: Stuck) -> None:
    """Let the loop turn until the function runs."""
    for _ in range(1_000_000):
        if stuck.began.is_set():
            return
        await asyncio.sleep(0)


def test_it_returns_what_the_function_does_and_runs_it_elsewhere(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(1, on_threads=True)

    @bulkhead
    def charge(amount: int, *, fails: bool = False) -> tuple[int, bool]:
        if fails:
            raise ConnectionError("no")
        return amount, threading.current_thread() is threading.main_thread()

    assert [charge(amount) for amount in range(50)] == [(amount, False) for amount in range(50)]
    with pytest.raises(ConnectionError, match="no"):
        charge(1, fails=True)
    assert bulkhead.snapshot().running == 0


def test_the_place_is_given_back_before_the_caller_hears_of_the_end() -> None:
    seen: list[tuple[bool, bool]] = []
    work = Work(len, ("four",), {}, lambda _: seen.append((work.done, work.wake.is_set())))
    work.run()
    work.end()
    assert (seen, work.done, work.wake.is_set()) == ([(False, False)], True, True)


def test_the_caller_goes_on_at_his_deadline_while_the_thread_keeps_its_place(clock: VirtualClock) -> None:
    bulkhead, stuck = Bulkhead(1, waiting=1, on_threads=True), Stuck()
    errors: list[Exception] = []

    def caller() -> None:
        ambient_deadline.set(2.0)
        try:
            bulkhead.call(stuck)
        except DeadlineExceeded as error:
            errors.append(error)

    waiting = threading.Thread(target=copy_context().run, args=(caller,))
    waiting.start()
    stuck.began.wait(10)
    while clock.next_alarm() is None:
        pass
    clock.advance(2)
    waiting.join()
    assert "has not ended at its deadline; its thread goes on" in str(errors[0])
    assert bulkhead.snapshot().running == 1
    stuck.release.set()
    assert bulkhead.call(len, "four") == 4


async def test_a_coroutine_awaits_a_function_on_a_thread(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(2)

    def charge(amount: int, *, fails: bool = False) -> int:
        assert threading.current_thread() is not threading.main_thread()
        assert ambient_deadline.get() == 5.0
        if fails:
            raise ConnectionError("no")
        return amount

    @Timeout(5)
    async def pay(amount: int) -> int:
        return await bulkhead.call_on_thread(charge, amount)

    assert [await pay(amount) for amount in range(20)] == list(range(20))
    with pytest.raises(ConnectionError, match="no"):
        await Timeout(5).call(bulkhead.call_on_thread, charge, 3, fails=True)
    assert bulkhead.snapshot().running == 0


async def test_a_timeout_outside_returns_in_time_while_the_thread_keeps_its_place(clock: VirtualClock) -> None:
    bulkhead, stuck = Bulkhead(1, waiting=1), Stuck()

    @Timeout(2)
    async def pay() -> str:
        return await bulkhead.call_on_thread(stuck)

    task = asyncio.create_task(pay())
    await begun(stuck)
    clock.advance(2)
    with pytest.raises(TimedOut):
        await task
    assert bulkhead.snapshot().running == 1
    stuck.release.set()
    assert await bulkhead.call_on_thread(len, "four") == 4


def test_a_loop_that_ends_meanwhile_loses_no_place(clock: VirtualClock) -> None:
    bulkhead, stuck = Bulkhead(1, waiting=1), Stuck()

    async def impatient() -> None:
        task = asyncio.create_task(bulkhead.call_on_thread(stuck))
        await begun(stuck)
        task.cancel()

    asyncio.run(impatient())
    assert bulkhead.snapshot().running == 1
    stuck.release.set()
    assert bulkhead.call(len, "four") == 4


def test_an_adaptive_limit_has_a_thread_for_each_place(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(GradientLimit(initial=3, maximum=3), on_threads=True)
    stuck = [Stuck() for _ in range(3)]
    callers = [
        threading.Thread(target=copy_context().run, args=(lambda each=each: bulkhead.call(each),)) for each in stuck
    ]
    for caller in callers:
        caller.start()
    for each in stuck:
        assert each.began.wait(10)
    with pytest.raises(BulkheadFull):
        bulkhead.call(len, "")
    for each in stuck:
        each.release.set()
    for caller in callers:
        caller.join()
    assert bulkhead.snapshot().running == 0


@pytest.mark.parametrize(
    "calls",
    [lambda bulkhead, work: bulkhead.call(work), lambda bulkhead, work: asyncio.run(bulkhead.call_on_thread(work))],
)
def test_where_no_thread_may_start_the_function_runs_in_place(calls: Callable[[Bulkhead, object], object]) -> None:
    token = process_state.set(new_process(VirtualClock(), SeededRandomness(1), one_thread=True))
    bulkhead = Bulkhead(1, on_threads=True)
    assert calls(bulkhead, threading.current_thread) is threading.current_thread()
    assert bulkhead.snapshot().running == 0
    process_state.reset(token)


async def test_an_async_function_needs_no_thread(clock: VirtualClock) -> None:
    with pytest.raises(TypeError, match=r"sleep is async and needs no thread"):
        await Bulkhead(1).call_on_thread(clock.sleep, 1)


def test_within_a_timeout_on_a_thread_it_serves_plain_functions(clock: VirtualClock) -> None:
    pipeline = ResiliencePipeline(Timeout(2, on_thread=True), Bulkhead(1))
    assert [pipeline.call(len, "four") for _ in range(3)] == [4, 4, 4]
