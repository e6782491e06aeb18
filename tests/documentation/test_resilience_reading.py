"""The policies for reading of docs/resilience.md."""

from __future__ import annotations

from typing import Any

# fmt: off
from insula.resilience import Chaos, CircuitBreaker, CircuitOpen, Fallback, Hedge, ResiliencePipeline, Timeout

prices = ResiliencePipeline(
    Fallback("unknown", on=(ConnectionError, TimeoutError, CircuitOpen)),
    Timeout(1),
    Hedge(after_percentile=95, idempotent=True),
    CircuitBreaker(),
    Chaos(0.1, latency_seconds=0.5, error=ConnectionError, enabled=lambda: flags["chaos"]),
)
# fmt: on

flags = {"chaos": False}
answers: list[Any] = []


@prices
async def price(article: str) -> str:
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return f"{article}: {answer}"


async def test_a_price_falls_back(clock: Any) -> None:
    answers[:] = [ConnectionError(), "12"]
    assert await clock.run(price("book")) == "unknown"
    assert await clock.run(price("book")) == "book: 12"


def test_their_order_makes_sense() -> None:
    from insula.resilience import lint

    assert lint(prices) == []
