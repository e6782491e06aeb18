"""The first policies of docs/resilience.md."""

from __future__ import annotations

from typing import Any

# fmt: off
from insula.resilience import Bulkhead, CircuitBreaker, ResiliencePipeline, Retry, Timeout, lint

payments = ResiliencePipeline(                   # outermost first: one timeout over all attempts
    Timeout(2),
    Retry(on=(ConnectionError, TimeoutError)),
    CircuitBreaker(),
    Bulkhead(20),
    Timeout(0.5),                                # one for each attempt, by which the breaker sees one that hangs
)

@payments
async def charge(card: str, amount: int, key: str) -> str:   # the same key at each attempt
    return await send(card, amount, key)

def test_the_order_of_the_policies_makes_sense() -> None:
    assert lint(payments) == []
# fmt: on


answers: list[Any] = []


async def send(card: str, amount: int, key: str) -> str:
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return f"{answer}: {card}, {amount}, {key}"


async def test_a_payment_is_tried_again(clock: Any) -> None:
    answers[:] = [ConnectionError(), "paid"]
    assert await clock.run(charge("card", 3, "key")) == "paid: card, 3, key"
