"""Blocks of policies need not end in the order, or in the context, in which they began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack
from contextvars import copy_context
from typing import Any
from weakref import ref

import pytest

from insula.resilience import CircuitBreaker, Fallback, Policy, ResiliencePipeline, Retry, TimedOut, Timeout
from insula.resilience.entered import Entered
from insula.testing import VirtualClock


def open_blocks(*policies: Policy) -> int:
    """How many blocks of these policies have not ended, for all that is known."""
    return sum(block.policy in policies for blocks in Entered._in_frames.values() for block in blocks)


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


async def test_a_timeouts_block_that_another_task_ends_does_not_cancel_the_one_that_began_it(
    clock: VirtualClock,
) -> None:
    timeout = Timeout(2)

    async def rows() -> AsyncIterator[int]:
        async with timeout:
            yield 1

    async def begin(generator: AsyncIterator[int]) -> None:
        await anext(generator)
        await clock.sleep(1)
        ended.set()
        await clock.sleep(9)

    async def end(generator: AsyncGenerator[int, None]) -> None:
        await ended.wait()
        await generator.aclose()

    async def both() -> None:
        generator = rows()
        ending = asyncio.create_task(end(generator))  # its context is from before the block
        await asyncio.gather(asyncio.create_task(begin(generator)), ending)

    ended = asyncio.Event()
    await clock.run(both())
    assert clock.monotonic() == 10


async def test_one_of_many_such_blocks_is_the_right_one(clock: VirtualClock) -> None:
    timeout = Timeout(2)

    async def rows() -> AsyncGenerator[int, None]:
        async with timeout:
            yield 1
            await clock.sleep(9)

    async def begin(generator: AsyncGenerator[int, None]) -> None:
        await anext(generator)

    first, second = rows(), rows()
    for generator in (first, second):
        await asyncio.create_task(begin(generator))
    await first.aclose()
    assert open_blocks(timeout) == 1
    await second.aclose()
    assert open_blocks(timeout) == 0


def test_a_probe_that_ends_in_another_context_is_seen(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, open_seconds=1)
    with pytest.raises(ConnectionError), breaker:
        raise ConnectionError
    clock.advance(1)

    def probe() -> Iterator[None]:
        with breaker:
            yield

    generator, elsewhere = probe(), copy_context()
    copy_context().run(next, generator)
    elsewhere.run(lambda: next(generator, None))
    assert breaker.snapshot().state == "closed"


async def test_blocks_within_exit_stacks_and_classes_of_ones_own_end_as_well(clock: VirtualClock) -> None:
    timeout, breaker = Timeout(2), CircuitBreaker(failure_threshold=1)

    class Own:
        async def __aenter__(self) -> None:
            await timeout.__aenter__()
            breaker.__enter__()

        async def __aexit__(self, *error: object) -> None:
            breaker.__exit__(*error)
            await timeout.__aexit__(*error)

    async def work(seconds: float) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(timeout)
            async with Own():
                await clock.sleep(seconds)

    async def many() -> list[Any]:
        return await asyncio.gather(*(work(each) for each in (1, 3, 1.5)), return_exceptions=True)

    assert [type(each) for each in await clock.run(many())] == [type(None), TimedOut, type(None)]
    assert open_blocks(timeout, breaker) == 0
