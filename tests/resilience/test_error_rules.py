"""`on=` has one shape for every policy: a class of errors, several, a union of them, or a function of the error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from insula.kernel import Rejection
from insula.resilience import (
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    ConstantBackoff,
    Fallback,
    Policy,
    ResiliencePipeline,
    Retry,
)
from insula.testing import VirtualClock
from support.ways import Script, Way

SHAPES: list[Any] = [
    (ConnectionError, TimeoutError),
    ConnectionError | TimeoutError,
    lambda error: isinstance(error, (ConnectionError, TimeoutError)),
]


class OutOfStock(Rejection):
    pass


def handles(way: Way, policy: Callable[..., Policy], error: Exception) -> bool:
    """Whether the policy does something about an error."""
    made = policy()
    script = Script(error, "paid")
    try:
        way.call(made, script)
    except Exception:
        return isinstance(made, CircuitBreaker) and made.snapshot().state == "open"
    return True


@pytest.mark.parametrize("on", SHAPES)
@pytest.mark.parametrize(
    "policy",
    [
        lambda on: Retry(on=on, backoff=ConstantBackoff(0)),
        lambda on: CircuitBreaker(failure_threshold=1, on=on),
        lambda on: Fallback("unknown", on=on),
    ],
    ids=["retry", "breaker", "fallback"],
)
def test_every_policy_takes_every_shape(policy: Any, on: Any, way: Way) -> None:
    for error in (ConnectionError(), TimeoutError()):
        assert handles(way, lambda: policy(on), error)
    for error in (KeyError(), OutOfStock()):
        assert not handles(way, lambda: policy(on), error)


@pytest.mark.parametrize("kind", [Retry, CircuitBreaker, lambda on: Fallback(None, on=on)])
@pytest.mark.parametrize("on", [OutOfStock, OutOfStock | KeyError, lambda: True, "OSError", ()])
def test_every_policy_refuses_the_same(kind: Any, on: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="on="):
        kind(on=on)


def test_a_breaker_counts_an_error_whose_function_fails_and_logs_that(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = CircuitBreaker(failure_threshold=1, on=lambda error: error.code == 3, name="bank")  # type: ignore[attr-defined]
    with caplog.at_level(logging.ERROR, "insula.resilience"), pytest.raises(ConnectionError):
        way.call(breaker, Script(ConnectionError("refused")))
    assert breaker.snapshot().state == "open"
    assert "bank: on= failed, so that ConnectionError('refused') counts" in caplog.text


@pytest.mark.parametrize("on", [Exception, ConnectionError, lambda _: True, lambda _: False])
def test_a_call_that_a_bulkhead_within_refused_is_neither_success_nor_failure_for_a_breaker(
    on: Any, clock: VirtualClock
) -> None:
    way = Way("sync", clock)
    breaker, bulkhead = CircuitBreaker(failure_threshold=1, open_seconds=1, on=on), Bulkhead(1)
    pipeline = ResiliencePipeline(breaker, bulkhead)
    with bulkhead, pytest.raises(BulkheadFull):
        way.call(pipeline, Script("paid"))
    assert breaker.snapshot().state == "closed"
    with pytest.raises(ConnectionError):
        breaker.call(fail)
    clock.advance(1)
    with bulkhead, pytest.raises(BulkheadFull):
        way.call(pipeline, Script("paid"))
    assert breaker.snapshot().state != "closed" or not breaker.failures.matches(ConnectionError())


def fail() -> None:
    raise ConnectionError
