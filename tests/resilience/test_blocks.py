"""Blocks of policies need not end in the order, or in the context, in which they began."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context
from typing import Any
from weakref import ref

import pytest

from insula.resilience import CircuitBreaker, Fallback, ResiliencePipeline, Retry, Timeout
from insula.resilience.policy import Entered
from insula.testing import VirtualClock


def test_blocks_of_generators_may_end_in_any_order(clock: VirtualClock) -> None:
    breakers = CircuitBreaker(failure_threshold=1), CircuitBreaker(failure_threshold=1)

    def block(breaker: CircuitBreaker) -> Iterator[None]:
        with breaker:
            yield
            raise ConnectionError

    first, second = (block(breaker) for breaker in breakers)
    next(first)
    next(second)
    for generator in (first, second):
        with pytest.raises(ConnectionError):
            next(generator)
    assert [breaker.snapshot().state for breaker in breakers] == ["open", "open"]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Timeout(2), r"Timeout: it serves no block by `with`; write `async with`, since nothing can interrupt plain"),
        (Retry(on=OSError), r"write `for attempt in retry:` \(or `async for`\), and within it `with attempt:`"),
        (Fallback(None, name="prices"), r"prices: .* decorate a function with it, or write `policy.call\(function"),
        (ResiliencePipeline(CircuitBreaker()), r"decorate a function with it"),
    ],
)
def test_a_policy_that_serves_no_block_says_what_to_write(policy: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        policy.__enter__()


async def test_neither_by_async_with() -> None:
    for policy in (Retry(on=OSError), Fallback(None)):
        with pytest.raises(TypeError, match="it serves no block by `async with`; "):
            await policy.__aenter__()  # type: ignore[attr-defined]


async def test_an_attempt_is_entered_by_a_plain_with(clock: VirtualClock) -> None:
    async for attempt in Retry(on=OSError):
        with pytest.raises(TypeError, match="write `with attempt:`, also within `async for"):
            await attempt.__aenter__()
        with attempt:
            pass


def test_blocks_that_ended_elsewhere_are_not_remembered(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(listener=print)
    blocks = []

    class Value:
        pass

    def life() -> None:
        for _ in range(3):
            value = Value()
            blocks.append(ref(value))
            Entered.push(breaker, value)
            del value
            copy_context().run(Entered.pop, breaker)
        Entered.push(breaker, None)

    life()
    assert [block() for block in blocks] == [None] * 3
    assert Entered.pop(breaker) is None
