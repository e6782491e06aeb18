"""Plain code may hold its thread to wait, but never the event loop that runs there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from insula.kernel import SeededRandomness, new_process, process_state
from insula.resilience import (
    Bulkhead,
    CircuitBreaker,
    ConstantBackoff,
    Fallback,
    RateLimiter,
    ResiliencePipeline,
    Retry,
)
from insula.testing import VirtualClock

HELD = r"would hold the event loop of this thread, .* make the function async .* `await asyncio.to_thread\(function"


def fail() -> None:
    raise ConnectionError("refused")


async def test_a_plain_retry_does_not_hold_a_loop_and_still_tells_why_it_would_have_waited(clock: VirtualClock) -> None:
    retry = Retry(on=ConnectionError, backoff=ConstantBackoff(3), name="payments")
    with pytest.raises(TypeError, match=rf"payments: to wait up to 3 s here {HELD}") as raised:
        retry.call(fail)
    assert isinstance(raised.value.__cause__, ConnectionError)


async def test_neither_does_a_block_of_plain_code(clock: VirtualClock) -> None:
    def block() -> None:
        for attempt in Retry(on=ConnectionError, backoff=ConstantBackoff(3)):
            with attempt:
                fail()

    with pytest.raises(TypeError, match=HELD) as raised:
        block()
    assert isinstance(raised.value.__cause__, ConnectionError)
    assert clock.monotonic() == 0


async def test_no_other_policy_takes_it_for_a_failure_of_the_callee(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    inner = Retry(on=ConnectionError, backoff=ConstantBackoff(3))
    with pytest.raises(TypeError, match=HELD):
        ResiliencePipeline(Fallback(None), Retry(on=lambda _: True), breaker, inner).call(fail)
    assert breaker.snapshot().state == "closed"


async def test_a_plain_retry_without_a_wait_holds_nothing(clock: VirtualClock) -> None:
    with pytest.raises(ConnectionError):
        Retry(on=ConnectionError, backoff=ConstantBackoff(0)).call(fail)


async def test_a_plain_limiter_does_not_hold_a_loop_for_its_turn(clock: VirtualClock) -> None:
    limiter = RateLimiter(1, 60, wait_seconds=180)
    limiter.call(int)
    with pytest.raises(TypeError, match=rf"RateLimiter: to wait up to 60 s here {HELD}"):
        limiter.call(int)
    with pytest.raises(TypeError, match=HELD):
        limiter.__enter__()
    assert clock.monotonic() == 0


async def test_a_plain_bulkhead_does_not_hold_a_loop_for_a_place(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(1, waiting=3, wait_seconds=5)
    async with bulkhead:
        with pytest.raises(TypeError, match=rf"Bulkhead: to wait up to 5 s here {HELD}"):
            bulkhead.call(int)
        assert bulkhead.snapshot().waiting == 0
    assert bulkhead.call(int) == 0


async def test_a_thread_beside_the_loop_may_wait(clock: VirtualClock) -> None:
    answers: list[Any] = [ConnectionError(), 3]

    def answer() -> int:
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return int(given)

    retry = Retry(on=ConnectionError, backoff=ConstantBackoff(3))
    assert await asyncio.to_thread(retry.call, answer) == 3
    assert clock.monotonic() == 3


async def test_where_one_thread_plays_all_the_others_it_may_wait(clock: VirtualClock) -> None:
    token = process_state.set(new_process(clock, SeededRandomness(1), one_thread=True))
    with pytest.raises(ConnectionError):
        Retry(on=ConnectionError, backoff=ConstantBackoff(3)).call(fail)
    process_state.reset(token)
    assert clock.monotonic() == 6
