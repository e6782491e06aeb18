"""What policies cost a call that succeeds: decorated functions that do nothing, called one after the other.

Peers stand in the order retry around breaker around timeout, as ours do. The cases that suspend go once around the
event loop in each call, as every call does that waits for something; in the others, cancelled timers pile up in the
loops of the peers, which no program would see. On asyncio's own loop, since policies serve any program.
"""

from __future__ import annotations

import asyncio
import logging
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import cycle
from typing import Any

from benchmarks.harness import Case, Contender, Sample, Settings, run
from insula.resilience import Bulkhead, CircuitBreaker, Hedge, Policy, RateLimiter, ResiliencePipeline, Retry, Timeout

BURST = 1000
TIMEOUT_SECONDS = 10
PLACES = 100
RATE = 1_000_000_000  # a second, never reached
Call = Callable[[], Any]
Opener = Callable[[Settings], AbstractAsyncContextManager[Sample]]


def nothing() -> None:
    pass


async def nothing_async() -> None:
    pass


@types.coroutine
def once_around_the_loop() -> Generator[None]:
    yield


async def suspending() -> None:
    await once_around_the_loop()


def sync(make: Callable[[], Call]) -> Opener:
    """Nanoseconds that one call takes."""

    @asynccontextmanager
    async def open_sync(settings: Settings) -> AsyncIterator[Sample]:
        call = make()

        async def sample() -> float:
            calls, turns = 0, range(BURST)
            started = time.perf_counter()
            while time.perf_counter() < started + settings.seconds:
                for _ in turns:
                    call()
                calls += BURST
            return (time.perf_counter() - started) / calls * 1e9

        yield sample

    return open_sync


def waiting(make: Callable[[], Callable[[], Awaitable[Any]]]) -> Opener:
    """The same, awaited."""

    @asynccontextmanager
    async def open_async(settings: Settings) -> AsyncIterator[Sample]:
        logging.disable(logging.CRITICAL)
        call = make()

        async def sample() -> float:
            calls, turns = 0, range(BURST)
            started = time.perf_counter()
            while time.perf_counter() < started + settings.seconds:
                for _ in turns:
                    await call()
                calls += BURST
            return (time.perf_counter() - started) / calls * 1e9

        yield sample

    return open_async


# Ours


def retry() -> Retry:
    return Retry(on=Exception, attempts=3)


def retry_and_breaker() -> Policy:
    return ResiliencePipeline(retry(), CircuitBreaker(failure_threshold=5))


def all_three() -> Policy:
    return ResiliencePipeline(retry(), CircuitBreaker(failure_threshold=5), Timeout(TIMEOUT_SECONDS))


def limited_by_key() -> Call:
    """Each of a thousand keys in turn."""
    users = cycle(range(BURST))
    return RateLimiter(1_000, burst=RATE, key=lambda: next(users))(nothing)


# The floors


def fused(function: Call) -> Call:
    """Retry and breaker written into one function by hand, as far as a success needs them."""
    failures, is_open = 0, False

    def otherwise(error: Exception) -> None:
        raise error

    def wrapper(*arguments: Any, **named: Any) -> Any:
        nonlocal failures
        if is_open:
            otherwise(RuntimeError())
        try:
            result = function(*arguments, **named)
        except Exception as error:
            return otherwise(error)
        if failures:
            failures = 0
        return result

    return wrapper


def decorated(function: Call) -> Call:
    """A decorator that does nothing."""

    def wrapper(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return wrapper


# The peers


def by_circuitbreaker(function: Call) -> Call:
    import circuitbreaker

    wrapped: Call = circuitbreaker.circuit(failure_threshold=5)(function)
    return wrapped


def by_purgatory() -> Call:
    import purgatory

    breaker = purgatory.SyncCircuitBreakerFactory(default_threshold=5).get_breaker("callee")

    def within() -> None:
        with breaker:
            nothing()

    return within


def by_backoff(function: Call) -> Call:
    import backoff

    wrapped: Call = backoff.on_exception(backoff.expo, Exception, max_tries=3)(function)
    return wrapped


def by_stamina(function: Call) -> Call:
    import stamina

    wrapped: Call = stamina.retry(on=Exception, attempts=3)(function)
    return wrapped


def by_hyx_breaker(function: Call) -> Call:
    from hyx.circuitbreaker import consecutive_breaker

    wrapped: Call = consecutive_breaker()(function)
    return wrapped


def by_hyx_retry(function: Call) -> Call:
    from hyx.retry import retry as hyx_retry

    wrapped: Call = hyx_retry(on=Exception, attempts=3)(function)
    return wrapped


def by_pyresilience(function: Call, *policies: str) -> Call:
    import pyresilience

    all_of_them: dict[str, Any] = {
        "retry": pyresilience.RetryConfig(max_attempts=3),
        "circuit_breaker": pyresilience.CircuitBreakerConfig(),
        "timeout": pyresilience.TimeoutConfig(seconds=TIMEOUT_SECONDS),
        "bulkhead": pyresilience.BulkheadConfig(max_concurrent=PLACES),
        "rate_limiter": pyresilience.RateLimiterConfig(max_calls=RATE),
    }
    wrapped: Call = pyresilience.resilient(**{name: all_of_them[name] for name in policies})(function)
    return wrapped


def by_asyncio_timeout(function: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    async def limited() -> Any:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await function()

    return limited


def by_semaphore(function: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    semaphore = asyncio.Semaphore(PLACES)

    async def within() -> Any:
        async with semaphore:
            return await function()

    return within


def by_anyio_semaphore(function: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    import anyio

    semaphore = anyio.Semaphore(PLACES, fast_acquire=True)

    async def within() -> Any:
        async with semaphore:
            return await function()

    return within


def by_anyio_limiter(function: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    import anyio

    limiter = anyio.CapacityLimiter(PLACES)

    async def within() -> Any:
        async with limiter:
            return await function()

    return within


def hedged_by_hand(function: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """Two tasks, the second begun when the first is slow, and the loser cancelled and waited for."""

    async def hedged() -> Any:
        first = asyncio.ensure_future(function())
        running = {first}
        try:
            done, _ = await asyncio.wait(running, timeout=TIMEOUT_SECONDS)
            if not done:
                running.add(asyncio.ensure_future(function()))
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            losers = [each for each in running if each.cancel()]
            if losers:
                await asyncio.wait(losers)

    return hedged


ALL = ("retry", "circuit_breaker", "timeout")


def peers_of_all_three(function: Callable[[], Awaitable[Any]]) -> tuple[Contender, ...]:
    return (
        Contender(
            "backoff + circuitbreaker + asyncio.timeout",
            waiting(lambda: by_backoff(by_circuitbreaker(by_asyncio_timeout(function)))),
            ("backoff", "circuitbreaker"),
        ),
        Contender("pyresilience", waiting(lambda: by_pyresilience(function, *ALL)), ("pyresilience",)),
    )


def case(name: str, ours: Opener, floor: Contender, target: str, *peers: Contender) -> Case:
    return Case(name, "ns", "lower", Contender("Insula", ours), floor, peers, target)


BARE_AWAIT = Contender("await alone", waiting(lambda: nothing_async))
CASES = (
    case(
        "breaker, sync", sync(lambda: CircuitBreaker(failure_threshold=5)(nothing)),
        Contender("empty decorator", sync(lambda: decorated(nothing))), "≤ 0.45 × peer",
        Contender("purgatory (context)", sync(by_purgatory), ("purgatory",)),
        Contender("circuitbreaker", sync(lambda: by_circuitbreaker(nothing)), ("circuitbreaker",)),
        Contender("pyresilience", sync(lambda: by_pyresilience(nothing, "circuit_breaker")), ("pyresilience",)),
    ),
    case(
        "retry, sync", sync(lambda: retry()(nothing)),
        Contender("empty decorator", sync(lambda: decorated(nothing))), "≤ 0.15 × peer",
        Contender("backoff", sync(lambda: by_backoff(nothing)), ("backoff",)),
        Contender("stamina", sync(lambda: by_stamina(nothing)), ("stamina",)),
        Contender("pyresilience", sync(lambda: by_pyresilience(nothing, "retry")), ("pyresilience",)),
    ),
    case(
        "retry + breaker, sync", sync(lambda: retry_and_breaker()(nothing)),
        Contender("fused by hand", sync(lambda: fused(nothing))), "≤ 0.12 × peer, ≤ 2.5 × floor",
        Contender(
            "backoff + circuitbreaker", sync(lambda: by_backoff(by_circuitbreaker(nothing))),
            ("backoff", "circuitbreaker"),
        ),
        Contender("pyresilience", sync(lambda: by_pyresilience(nothing, *ALL[:2])), ("pyresilience",)),
    ),
    case(
        "breaker, async", waiting(lambda: CircuitBreaker(failure_threshold=5)(nothing_async)), BARE_AWAIT,
        "≤ 0.5 × peer",
        Contender("circuitbreaker", waiting(lambda: by_circuitbreaker(nothing_async)), ("circuitbreaker",)),
        Contender("hyx", waiting(lambda: by_hyx_breaker(nothing_async)), ("hyx",)),
    ),
    case(
        "retry, async", waiting(lambda: retry()(nothing_async)), BARE_AWAIT, "≤ 0.3 × peer",
        Contender("hyx", waiting(lambda: by_hyx_retry(nothing_async)), ("hyx",)),
        Contender("pyresilience", waiting(lambda: by_pyresilience(nothing_async, "retry")), ("pyresilience",)),
    ),
    case(
        "retry + breaker + timeout, async", waiting(lambda: all_three()(nothing_async)), BARE_AWAIT, "≤ 0.12 × peer",
        *peers_of_all_three(nothing_async),
    ),
    case(
        "retry + breaker + timeout, async, suspended", waiting(lambda: all_three()(suspending)),
        Contender("await alone", waiting(lambda: suspending)), "≤ 1.5 × floor",
        *peers_of_all_three(suspending),
    ),
    case(
        "bulkhead, async", waiting(lambda: Bulkhead(PLACES)(nothing_async)), BARE_AWAIT, "≤ 0.6 × peer",
        Contender("asyncio.Semaphore", waiting(lambda: by_semaphore(nothing_async))),
        Contender("anyio.Semaphore, fast", waiting(lambda: by_anyio_semaphore(nothing_async)), ("anyio",)),
        Contender("anyio.CapacityLimiter", waiting(lambda: by_anyio_limiter(nothing_async)), ("anyio",)),
        Contender("pyresilience", waiting(lambda: by_pyresilience(nothing_async, "bulkhead")), ("pyresilience",)),
    ),
    case(
        "hedge, async, suspended", waiting(lambda: Hedge(TIMEOUT_SECONDS, idempotent=True)(suspending)),
        Contender("two tasks by hand", waiting(lambda: hedged_by_hand(suspending))), "≤ 1.2 × floor",
    ),
    case(
        "rate limiter, sync", sync(lambda: RateLimiter(RATE)(nothing)),
        Contender("empty decorator", sync(lambda: decorated(nothing))), "≤ 0.5 × peer",
        Contender("pyresilience", sync(lambda: by_pyresilience(nothing, "rate_limiter")), ("pyresilience",)),
    ),
    case(
        "rate limiter with keys, sync", sync(limited_by_key),
        Contender("empty decorator", sync(lambda: decorated(nothing))), "",
    ),
)  # fmt: skip

if __name__ == "__main__":
    run((__doc__ or "").partition("\n\n")[0], CASES, new_loop=asyncio.new_event_loop)
