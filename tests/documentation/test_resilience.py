"""Policies as docs/resilience.md shows them."""

from __future__ import annotations

from typing import Any

import pytest

from insula.kernel import clock_of_process
from insula.resilience import (
    Bulkhead,
    Chaos,
    CircuitBreaker,
    CircuitOpen,
    ConstantBackoff,
    Fallback,
    Hedge,
    ResiliencePipeline,
    Retry,
    Timeout,
    attempts_of,
    lint,
)
from insula.resilience.events import Event, Retried
from insula.testing import virtual_time

answers: list[Any] = []
flags = {"chaos": False}
heard: list[Event] = []


async def send(card: str, amount: int, key: str) -> str:
    answer = answers.pop(0) if len(answers) > 1 else answers[0]
    if isinstance(answer, Exception):
        raise answer
    await clock_of_process().sleep(answer if isinstance(answer, float) else 0)
    return "receipt"


# fmt: off
payments = ResiliencePipeline(                   # outermost first: one timeout over all attempts
    Timeout(2),
    Retry(on=(ConnectionError, TimeoutError), attempts=3),
    CircuitBreaker(failure_threshold=5, open_seconds=30),
    Bulkhead(20),
    Timeout(0.5),                                # one for each attempt, by which the breaker sees one that hangs
)

@payments
async def charge(card: str, amount: int, key: str) -> str:   # the same key at each attempt
    return await send(card, amount, key)

def test_the_order_of_the_policies_makes_sense() -> None:
    assert lint(payments) == []
# fmt: on


async def ask_a_replica(article: str) -> str:
    return await send(article, 1, "")


# fmt: off
prices = ResiliencePipeline(
    Fallback("unknown", on=(ConnectionError, TimeoutError, CircuitOpen)),
    Timeout(1),
    Hedge(after_percentile=95, idempotent=True),
    CircuitBreaker(),
    Chaos(0.1, latency_seconds=0.5, error=ConnectionError, enabled=lambda: flags["chaos"]),
)

@prices
async def price(article: str) -> str:
    return await ask_a_replica(article)
# fmt: on


# fmt: off
async def test_a_payment_that_hangs_is_tried_again() -> None:
    attempts = ResiliencePipeline(Retry(on=TimeoutError, backoff=ConstantBackoff(1)), Timeout(2))
    seconds = iter((60, 60, 0))
    with virtual_time() as clock:                # a process of its own: its clock, its chance, its policies' state
        async def hang() -> None:
            await clock.sleep(next(seconds))

        await clock.run(attempts.call(hang))
        assert clock.monotonic() == 6            # two attempts of 2 s and two waits of 1 s, and no real time
# fmt: on


async def test_a_payment_is_tried_again() -> None:
    answers[:] = [ConnectionError(), "paid"]
    with virtual_time() as clock:
        assert await clock.run(charge("card", 3, "key")) == "receipt"


async def test_a_price_falls_back() -> None:
    answers[:] = [ConnectionError()]
    with virtual_time() as clock:
        assert await clock.run(price("book")) == "unknown"
        answers[:] = ["12"]
        assert await clock.run(price("book")) == "receipt"
    assert lint(prices) == []


def read(path: str) -> str:
    answer = answers.pop(0) if len(answers) > 1 else answers[0]
    if isinstance(answer, Exception):
        raise answer
    return path


def load(path: str) -> str:
    # fmt: off
    for attempt in Retry(on=OSError, attempts=3, listener=heard.append):
        with attempt:
            text = read(path)
    # fmt: on
    return text


def test_a_block_is_tried_again() -> None:
    answers[:] = [OSError(), "text"]
    with virtual_time():
        assert load("here") == "here"
        assert [type(event) for event in heard] == [Retried]
        answers[:] = [FileNotFoundError()]
        with pytest.raises(FileNotFoundError) as raised:
            load("here")
    assert len(attempts_of(raised.value)) == 3
