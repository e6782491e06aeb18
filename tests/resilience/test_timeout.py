from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context

import pytest

from insula.kernel import DeadlineExceeded, Unavailable, ambient_deadline
from insula.resilience import CircuitBreaker, Policy, ResiliencePipeline, Retry, TimedOut, Timeout, seconds_left
from insula.resilience.events import TimeRanOut
from insula.testing import VirtualClock, virtual_time


async def turns() -> None:
    """Let every task that can run come to its next wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_takes_too_long_ends_in_time(clock: VirtualClock) -> None:
    ended = []

    @Timeout(2, name="payments")
    async def charge() -> None:
        try:
            await clock.sleep(60)
        finally:
            ended.append(clock.monotonic())

    with pytest.raises(TimedOut, match=r"charge took longer than the 2 s it had \(payments\)") as raised:
        await clock.run(charge())
    assert isinstance(raised.value, DeadlineExceeded)
    assert isinstance(raised.value, TimeoutError)
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert ended == [2.0]


async def test_what_ends_in_time_is_left_alone(clock: VirtualClock) -> None:
    async def charge() -> str:
        await clock.sleep(1.9)
        return "paid"

    timeout = Timeout(2)
    assert [await clock.run(timeout.call(charge)) for _ in range(3)] == ["paid"] * 3
    clock.advance(60)
    await turns()


async def test_calls_of_one_policy_each_have_their_own_time(clock: VirtualClock) -> None:
    timeout, ended = Timeout(2), {}

    async def call(begins: float, takes: float) -> None:
        await clock.sleep(begins)
        try:
            await timeout.call(clock.sleep, takes)
        except TimedOut:
            ended[begins] = clock.monotonic()
            raise

    work = [(0.0, 9.0), (0.5, 1.0), (1.0, 9.0), (1.5, 1.9), (1.75, 9.0)]
    results = await clock.run(asyncio.gather(*(call(*each) for each in work), return_exceptions=True))
    assert ended == {0.0: 2.0, 1.0: 3.0, 1.75: 3.75}
    assert [type(each) for each in results] == [TimedOut, type(None), TimedOut, type(None), TimedOut]


@pytest.mark.parametrize(("outer", "inner", "who"), [(1, 2, "outer"), (2, 1, "inner"), (2, 2, "outer")])
async def test_of_nested_timeouts_the_earlier_one_ends_it(
    clock: VirtualClock, outer: int, inner: int, who: str
) -> None:
    pipeline = ResiliencePipeline(Timeout(outer, name="outer"), Timeout(inner, name="inner"))
    with pytest.raises(TimedOut) as raised:
        await clock.run(pipeline.call(clock.sleep, 60))
    assert clock.monotonic() == min(outer, inner)
    assert f"({who})" in str(raised.value)


async def test_a_policy_may_be_nested_in_itself(clock: VirtualClock) -> None:
    timeout = Timeout(2)

    async def twice() -> None:
        await clock.sleep(1)
        await timeout.call(clock.sleep, 60)

    with pytest.raises(TimedOut):
        await clock.run(timeout.call(twice))
    assert clock.monotonic() == 2.0


async def test_a_cancellation_from_outside_stays_one(clock: VirtualClock) -> None:
    task = asyncio.create_task(Timeout(2).call(clock.sleep, 60))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_so_it_does_at_the_moment_at_which_time_runs_out(clock: VirtualClock) -> None:
    task = asyncio.create_task(Timeout(2).call(clock.sleep, 60))
    await turns()
    task.cancel()
    clock.advance(2)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_is_being_cancelled_may_clean_up_within_a_timeout(clock: VirtualClock) -> None:
    seen = []

    async def work() -> None:
        try:
            await clock.sleep(60)
        finally:
            try:
                await Timeout(1).call(clock.sleep, 60)
            except TimedOut:
                seen.append("cleaning up took too long")

    task = asyncio.create_task(work())
    await turns()
    task.cancel()
    await turns()
    clock.advance(1)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cleaning up took too long"]


async def test_after_time_ran_out_the_task_is_as_before(clock: VirtualClock) -> None:
    async def stubborn() -> str:
        try:
            await clock.sleep(60)
        except asyncio.CancelledError:
            return "finished all the same"
        return ""

    async def work() -> int:
        assert await Timeout(1).call(stubborn) == "finished all the same"
        async with asyncio.timeout(None):
            await clock.sleep(1)
        return asyncio.current_task().cancelling()  # type: ignore[union-attr]

    assert await clock.run(work()) == 0


async def test_what_lets_its_own_time_pass_and_does_not_wait_is_not_cancelled_later(clock: VirtualClock) -> None:
    async def work() -> str:
        clock.block(3)  # as a plain function does that waits within a backoff
        return "done"

    assert await Timeout(2).call(work) == "done"
    await turns()


async def test_an_error_of_cleaning_up_is_not_hidden(clock: VirtualClock) -> None:
    async def messy() -> None:
        try:
            await clock.sleep(60)
        finally:
            raise KeyError("while cleaning up")

    with pytest.raises(KeyError):
        await clock.run(Timeout(1).call(messy))


async def test_everything_within_knows_how_much_time_is_left(clock: VirtualClock) -> None:
    async def seen() -> float:
        return ambient_deadline.get()

    async def in_a_task() -> float:
        return await asyncio.create_task(seen())

    assert await Timeout(5).call(in_a_task) == 5.0
    assert await ResiliencePipeline(Timeout(2), Timeout(5)).call(seen) == 2.0
    assert ambient_deadline.get() == float("inf")


async def test_a_deadline_that_is_over_lets_nothing_begin(clock: VirtualClock) -> None:
    began = []

    async def charge() -> None:
        began.append(True)

    token = ambient_deadline.set(0.0)
    with pytest.raises(TimedOut, match="before it began"):
        await Timeout(2).call(charge)
    ambient_deadline.reset(token)
    assert began == []


async def test_a_block_is_limited_like_a_function(clock: VirtualClock) -> None:
    async def work() -> None:
        async with Timeout(2), Timeout(5):
            await clock.sleep(60)

    with pytest.raises(TimedOut, match="the block took longer than the 2 s"):
        await clock.run(work())
    assert ambient_deadline.get() == float("inf")


async def test_an_attempt_that_times_out_may_be_retried(clock: VirtualClock) -> None:
    waits = iter((60, 60, 0))

    async def charge() -> str:
        await clock.sleep(next(waits))
        return "paid"

    pipeline = ResiliencePipeline(Retry(on=TimeoutError, backoff=lambda _: 0.0), Timeout(2))
    assert await clock.run(pipeline.call(charge)) == "paid"
    assert clock.monotonic() == 4.0


async def test_whoever_listens_hears_of_it(clock: VirtualClock) -> None:
    heard: list[object] = []
    with pytest.raises(TimedOut):
        await clock.run(Timeout(2, name="pay", listener=heard.append).call(clock.sleep, 60))
    assert heard == [TimeRanOut("pay", "VirtualClock.sleep", 2.0)]


def test_one_policy_serves_loops_in_several_threads_at_once() -> None:
    timeout, results = Timeout(2), []
    together = threading.Barrier(2)

    def life() -> None:
        with virtual_time() as clock:

            async def main() -> None:
                together.wait(10)
                for _ in range(50):
                    with pytest.raises(TimedOut):
                        await clock.run(timeout.call(clock.sleep, 60))
                results.append(clock.monotonic())

            asyncio.run(main())

    threads = [threading.Thread(target=life) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [100.0, 100.0]


def test_real_loops_in_turn_and_in_threads_share_a_policy() -> None:
    timeout, ended = Timeout(0.01), []

    async def main() -> None:
        for _ in range(3):
            with pytest.raises(TimedOut):
                await timeout.call(asyncio.Event().wait)
        ended.append(True)

    def life() -> None:
        for _ in range(2):
            asyncio.run(main())

    threads = [threading.Thread(target=life) for _ in range(3)]
    for thread in threads:
        thread.start()
    life()
    for thread in threads:
        thread.join()
    assert len(ended) == 8
    assert len(timeout.queues.own.by_thread) <= 4


def test_a_loop_that_moves_to_another_thread_keeps_its_time() -> None:
    timeout, loop = Timeout(0.01), asyncio.new_event_loop()

    async def main() -> None:
        with pytest.raises(TimedOut):
            await timeout.call(asyncio.Event().wait)

    loop.run_until_complete(main())
    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    thread.join()
    asyncio.run(main())
    loop.close()
    asyncio.run(main())
    assert [queue.loop is loop for queue in timeout.queues.own.by_thread.values()] == [False]


@pytest.mark.parametrize(
    "policy",
    [
        Timeout(2),
        ResiliencePipeline(Timeout(5), Timeout(9)),
        ResiliencePipeline(Retry(on=OSError), CircuitBreaker(), Timeout(2)),
    ],
)
async def test_a_coroutine_that_somebody_else_closes_just_ends(clock: VirtualClock, policy: Policy) -> None:
    async def block() -> None:
        async with Timeout(3), CircuitBreaker():
            await policy.call(clock.sleep, 60)

    coroutine = block()
    copy_context().run(coroutine.send, None)
    copy_context().run(coroutine.close)
    assert coroutine.cr_frame is None


# Plain functions


def test_a_plain_function_is_refused_since_nothing_can_interrupt_it() -> None:
    def charge() -> None: ...

    with pytest.raises(
        TypeError, match=r"charge is a plain function.*make it async, or write Timeout\(2, on_thread=True\)"
    ):
        ResiliencePipeline(Timeout(2))(charge)


def test_on_a_thread_it_returns_what_the_function_does(clock: VirtualClock) -> None:
    timeout = Timeout(2, on_thread=True, threads=1)

    @timeout
    def charge(amount: int, *, fails: bool = False) -> tuple[int, bool, float]:
        if fails:
            raise ConnectionError("no")
        return amount, threading.current_thread() is threading.main_thread(), ambient_deadline.get()

    assert [charge(amount) for amount in range(20)] == [(amount, False, 2.0) for amount in range(20)]
    with pytest.raises(ConnectionError, match="no"):
        charge(1, fails=True)


def test_a_thread_that_cannot_start_takes_no_place(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    timeout = Timeout(2, on_thread=True, threads=1)
    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            timeout.call(str)
    assert timeout.call(str, 1) == "1"


def test_on_a_thread_the_caller_has_its_error_in_time_while_the_thread_goes_on(clock: VirtualClock) -> None:
    release, began, ended = threading.Event(), threading.Event(), threading.Event()
    errors: list[TimedOut] = []
    timeout = Timeout(2, on_thread=True, threads=1)

    @timeout
    def charge() -> None:
        began.set()
        release.wait(10)
        ended.set()

    def caller() -> None:
        try:
            charge()
        except TimedOut as error:
            errors.append(error)

    waiting = threading.Thread(target=copy_context().run, args=(caller,))
    waiting.start()
    began.wait(10)
    while clock.next_alarm() is None:
        pass
    clock.advance(2)
    waiting.join()
    assert "its thread goes on until the function ends" in str(errors[0])
    breaker = CircuitBreaker(failure_threshold=1)
    with pytest.raises(Unavailable, match="all 1 threads are busy"):
        breaker.call(charge)
    assert breaker.snapshot().state == "closed"  # the function was never called
    assert not ended.is_set()
    release.set()
    assert ended.wait(10)


async def test_whoever_works_under_a_deadline_may_ask_how_much_time_is_left(clock: VirtualClock) -> None:
    async def work() -> list[float | None]:
        left = [seconds_left()]
        async with Timeout(5):
            await clock.sleep(2)
            left.append(seconds_left())
            async with Timeout(1):
                left.append(seconds_left())
            left.append(seconds_left())
        return left

    assert await clock.run(work()) == [None, 3.0, 1.0, 3.0]
    token = ambient_deadline.set(-1.0)
    assert seconds_left() == 0.0
    ambient_deadline.reset(token)
