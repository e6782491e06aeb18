"""A retry that is ended from outside: the error that ends it tells of the attempts until then."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextvars import copy_context

import pytest

from insula.resilience import ConstantBackoff, ResiliencePipeline, Retry, TimedOut, Timeout, attempts_of
from insula.testing import VirtualClock

SECOND = ConstantBackoff(1.0)


def failing_then_hanging(clock: VirtualClock, failures: int) -> Callable[[], Awaitable[None]]:
    errors = [ConnectionError(f"number {number}") for number in range(1, failures + 1)]

    async def call() -> None:
        if errors:
            raise errors.pop(0)
        await clock.sleep(60)

    return call


async def test_a_timeout_around_a_retry_has_the_attempts_so_far(clock: VirtualClock) -> None:
    pipeline = ResiliencePipeline(Timeout(5), Retry(on=ConnectionError, attempts=4, backoff=SECOND))
    with pytest.raises(TimedOut) as raised:
        await clock.run(pipeline.call(failing_then_hanging(clock, 2)))
    attempts = attempts_of(raised.value)
    assert [str(attempt.error) for attempt in attempts[:2]] == ["number 1", "number 2"]
    assert attempts[2].error is raised.value
    assert [attempt.delay for attempt in attempts] == [1.0, 1.0, None]
    assert [attempt.duration for attempt in attempts] == [None, 0.0, 3.0]
    shown = "".join(traceback.format_exception(raised.value))
    assert "Retry: 2 attempts: ConnectionError: number 1, waited 1 s; ConnectionError: number 2" in shown
    assert "then it was ended while attempt 3 had been running for 3 s" in shown
    assert shown.index("ConnectionError: number 2") < shown.index("TimedOut")


async def test_so_has_a_block_within_the_block_of_a_timeout(clock: VirtualClock) -> None:
    call = failing_then_hanging(clock, 1)

    async def work() -> None:
        async with Timeout(5):
            async for attempt in Retry(on=ConnectionError, backoff=SECOND):
                with attempt:
                    await call()

    with pytest.raises(TimedOut) as raised:
        await clock.run(work())
    assert [attempt.duration for attempt in attempts_of(raised.value)] == [0.0, 4.0]


@pytest.mark.parametrize("as_block", [False, True])
async def test_a_task_that_is_cancelled_while_it_waits_tells_so(as_block: bool, clock: VirtualClock) -> None:
    retry, call = Retry(on=ConnectionError, backoff=ConstantBackoff(60)), failing_then_hanging(clock, 1)

    async def work() -> None:
        if not as_block:
            await retry.call(call)
        async for attempt in retry:
            with attempt:
                await call()

    async def cancelled() -> None:
        task = asyncio.ensure_future(work())
        await clock.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        assert "ConnectionError: number 1" in raised.value.__notes__[0]
        assert raised.value.__notes__[0].endswith(", waited 60 s; then it was ended while it waited for the next")

    await clock.run(cancelled())


async def test_an_attempt_that_hangs_at_once_leaves_nothing_on_the_error(clock: VirtualClock) -> None:
    pipeline = ResiliencePipeline(Timeout(5), Retry(on=ConnectionError))
    with pytest.raises(TimedOut) as raised:
        await clock.run(pipeline.call(failing_then_hanging(clock, 0)))
    assert attempts_of(raised.value) == ()
    assert not hasattr(raised.value, "__notes__")


def test_a_retry_on_a_thread_whose_caller_waits_no_longer_tells_of_its_attempts(clock: VirtualClock) -> None:
    release, errors, raised = threading.Event(), [ConnectionError("number 1")], list[TimedOut]()

    @Timeout(2, on_thread=True)
    @Retry(on=ConnectionError, backoff=ConstantBackoff(0))
    def charge() -> None:
        if errors:
            raise errors.pop(0)
        began.set()
        release.wait(10)

    def caller() -> None:
        try:
            charge()
        except TimedOut as error:
            raised.append(error)

    began = threading.Event()
    waiting = threading.Thread(target=copy_context().run, args=(caller,))
    waiting.start()
    assert began.wait(10)
    while clock.next_alarm() is None:
        pass
    clock.advance(2)
    waiting.join()
    release.set()
    assert [str(attempt.error) for attempt in attempts_of(raised[0])] == ["number 1", str(raised[0])]
    assert "then it was ended while attempt 2 had been running for 2 s" in raised[0].__notes__[0]
