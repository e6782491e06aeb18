"""What type checkers must accept and refuse; a line that must be refused ends with a mark. Read by test_typing.py."""

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, assert_type

from insula.resilience import (
    Bulkhead,
    Chaos,
    CircuitBreaker,
    ConstantBackoff,
    ExponentialBackoff,
    Fallback,
    GradientLimit,
    Hedge,
    RateLimiter,
    ResiliencePipeline,
    Retry,
    RetryBudget,
    Timeout,
)

payments = ResiliencePipeline(
    Timeout(timedelta(seconds=2)),
    Retry(on=(ConnectionError, TimeoutError), attempts=3, backoff=ExponentialBackoff()),
    CircuitBreaker(failure_threshold=5, open_seconds=30, excluding=KeyError),
)


@payments
async def charge(card: str, amount: int, *, key: str = "") -> bytes:
    return key.encode()


@Retry(on={OSError: ConstantBackoff(1), ConnectionError: lambda attempt: 0.5 * attempt})
def look_up(card: str) -> int:
    return len(card)


@Fallback(0, on=ConnectionError)
@Hedge(timedelta(milliseconds=50), idempotent=True, budget=RetryBudget(0.1))
async def price(article: str) -> int:
    return len(article)


@Fallback(lambda error: f"{error}")
@Chaos(0.1, latency_seconds=2, error=ConnectionError, enabled=lambda: True)
def stock(article: str) -> str:
    return article


class Client:
    @CircuitBreaker()
    async def get(self, path: str) -> int:
        return len(path)


def legacy(amount: int) -> str:
    return str(amount)


async def use() -> None:
    await assert_type(charge("card", 3, key="k"), Coroutine[Any, Any, bytes])
    assert_type(look_up("card"), int)
    assert_type(await Client().get("/"), int)
    await assert_type(price("a"), Coroutine[Any, Any, int])
    assert_type(stock("a"), str)
    assert_type(await Hedge(after_percentile=95, idempotent=True).call(price, "a"), int)
    assert_type(payments.call(legacy, 3), str)
    assert_type(await payments.call(charge, "card", amount=3), bytes)
    for attempt in Retry(on=lambda error: error.args == ()):
        with attempt:
            pass
    Retry(on=OSError | KeyError, retry_after=lambda error: "3" if error.args else None)
    Fallback(None, on=lambda error: error.args == ())
    CircuitBreaker(on=lambda error: error.args == ())
    async with Timeout(1), CircuitBreaker(), Bulkhead(GradientLimit()), RateLimiter(5, key=len):
        pass
    assert_type(await Bulkhead(20).call_on_thread(legacy, 3), str)


async def misuse() -> None:
    await charge(3, "card")  # refused: arguments of other types
    await charge("card")  # refused: one is missing
    look_up("card", 2)  # refused: one too many
    payments.call(legacy, "3")  # refused: an argument of another type
    await payments.call(legacy, 3)  # refused: the result is no coroutine
    await price(3)  # refused: an argument of another type
    stock()  # refused: one is missing
    with Timeout(1):  # refused: plain code cannot be interrupted
        pass
    await Bulkhead(20).call_on_thread(legacy, "3")  # refused: an argument of another type


Retry()  # refused: what to retry has no default
Retry(on=KeyboardInterrupt)  # refused: that is not an Exception
Retry(on=OSError, attempts="3")  # refused: a number is a number
ExponentialBackoff(jitter="some")  # refused: no such jitter
ResiliencePipeline(OSError)  # refused: that is no policy
CircuitBreaker(excluding=3)  # refused: that is no class
Hedge(0.05)  # refused: whether a call is idempotent has no default
Hedge(0.05, idempotent=False)  # refused: then it is not hedged
Hedge(0.05, idempotent=True, budget="0.1")  # refused: a share is a number
Fallback(0, on=KeyboardInterrupt)  # refused: that is not an Exception
Chaos(0.1, error=ConnectionError())  # refused: one error for all calls
Bulkhead("3")  # refused: neither a number nor a rule for one
RateLimiter(3, key=lambda user: [user])  # refused: a list cannot be a key
