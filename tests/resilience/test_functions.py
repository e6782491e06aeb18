"""What policies take for a function, and which results show that they were mistaken."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from insula.resilience import (
    Bulkhead,
    Chaos,
    CircuitBreaker,
    ConstantBackoff,
    Fallback,
    GradientLimit,
    Policy,
    RateLimiter,
    ResiliencePipeline,
    Retry,
    Timeout,
)
from insula.resilience.events import Event
from insula.testing import VirtualClock
from support.ways import Script, raised_or

POLICIES: list[Policy] = [
    Retry(on=Exception),
    CircuitBreaker(),
    Bulkhead(3),
    Bulkhead(GradientLimit()),
    Bulkhead(3, on_threads=True),
    RateLimiter(3),
    Fallback("unknown"),
    Chaos(0.5, latency_seconds=1),
    Timeout(1, on_thread=True),
    ResiliencePipeline(Fallback("unknown"), Retry(on=Exception), CircuitBreaker()),
]


async def charge(card: str) -> str:
    return card


class Response:
    """What HTTP clients return: to be awaited, or entered."""

    def __await__(self) -> Generator[None, None, str]:
        yield
        return "paid"


def get() -> Response:
    return Response()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("function", [lambda: charge("card"), get])
def test_a_plain_function_that_returns_something_to_be_awaited_is_refused(
    policy: Policy, function: Callable[[], Awaitable[str]], clock: VirtualClock
) -> None:
    with pytest.raises(TypeError, match=r"is a plain function that returned something to be awaited .* `async def`"):
        policy.call(function)
    with pytest.raises(TypeError, match="is a plain function that returned something to be awaited"):
        policy(function)()


def test_so_is_a_plain_wrapper_of_an_async_function(clock: VirtualClock) -> None:
    @functools.wraps(charge)
    def logged(*arguments: Any) -> Any:
        return charge(*arguments)

    with pytest.raises(TypeError, match="CircuitBreaker: charge is a plain function"):
        CircuitBreaker()(logged)("card")


def test_that_mistake_is_neither_retried_nor_counted_nor_answered(clock: VirtualClock) -> None:
    events: list[Event] = []
    breaker = CircuitBreaker(failure_threshold=1)
    pipeline = ResiliencePipeline(
        Fallback("unknown"), Retry(on=lambda _: True), breaker, RateLimiter(3), listener=events.append
    )
    with pytest.raises(TypeError, match=r"RateLimiter: .* returned something to be awaited"):
        pipeline.call(lambda: charge("card"))
    assert (breaker.snapshot().state, events) == ("closed", [])


async def test_a_task_that_comes_out_of_a_plain_function_is_cancelled(clock: VirtualClock) -> None:
    tasks: list[asyncio.Task[str]] = []

    def begin() -> asyncio.Task[str]:
        tasks.append(asyncio.create_task(charge("card")))
        return tasks[-1]

    with pytest.raises(TypeError, match="returned something to be awaited"):
        CircuitBreaker().call(begin)
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]


def test_an_answer_to_be_awaited_does_not_fit_a_plain_function(clock: VirtualClock) -> None:
    def fail() -> Awaitable[str]:
        raise ConnectionError

    with pytest.raises(TypeError, match="returned something to be awaited"):
        Fallback(lambda _: charge("card")).call(fail)


def test_a_coroutine_in_place_of_a_function_is_refused_and_closed() -> None:
    with pytest.raises(TypeError, match=r"charge has been called already.*`await policy.call\(function, argument\)`"):
        Retry(on=OSError).call(charge("card"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"3 is no function; write `policy.call\(function, argument\)`"):
        Retry(on=OSError).call(3)  # type: ignore[arg-type]


def test_a_policy_that_was_not_made_before_it_decorates_is_told_apart() -> None:
    with pytest.raises(TypeError, match=r"not @Retry, but @Retry\(on=ConnectionError\)"):
        Retry(on=ConnectionError)("card")  # type: ignore[type-var]


def test_what_is_no_coroutine_passes(clock: VirtualClock) -> None:
    class Receipt:
        def __getattr__(self, name: str) -> Any:
            return self  # as what stands for something elsewhere does

    receipt = Receipt()
    for policy in POLICIES:
        assert policy.call(lambda: receipt) is receipt


def test_a_block_may_return_what_is_to_be_awaited(clock: VirtualClock) -> None:
    for attempt in Retry(on=OSError, backoff=ConstantBackoff(0)):
        with attempt:
            work = charge("card")
    work.close()
    assert asyncio.iscoroutine(work)


def test_it_is_refused_at_a_later_attempt_too(clock: VirtualClock) -> None:
    script = Script(ConnectionError(), charge("card"))
    with pytest.raises(TypeError, match=r"Retry: .* returned something to be awaited"):
        Retry(on=ConnectionError, backoff=ConstantBackoff(0)).call(lambda: raised_or(script.next()))


async def test_a_thread_awaits_nothing_either(clock: VirtualClock) -> None:
    with pytest.raises(TypeError, match=r"Bulkhead: .* returned something to be awaited"):
        await Bulkhead(1).call_on_thread(lambda: charge("card"))
