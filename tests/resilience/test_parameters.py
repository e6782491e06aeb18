"""Whatever cannot be meant is refused where it is written, and the error names it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from insula.resilience import (
    AimdLimit,
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

NO_DURATIONS = [0, -1, float("nan"), float("inf"), True, "2", None, timedelta(0)]
NO_COUNTS = [0, -1, 1.5, float("nan"), True, "3"]
HEDGE: dict[str, Any] = {"after_seconds": 1, "idempotent": True}
NO_SHARES = [0, -0.1, 1.1, float("nan"), True, "0.5"]
RATE: dict[str, Any] = {"failure_rate": 0.5}

CASES: list[tuple[Any, dict[str, Any], str, list[Any]]] = [
    (Timeout, {}, "seconds", NO_DURATIONS),
    (Timeout, {"seconds": 1}, "threads", NO_COUNTS),
    (Retry, {"on": OSError}, "attempts", NO_COUNTS),
    (Retry, {}, "on", [(), {}, BaseException, KeyboardInterrupt, "OSError", 3, (OSError, 3)]),
    (Retry, {"on": OSError}, "budget", [3, 0.2]),
    (ExponentialBackoff, {}, "first_seconds", NO_DURATIONS),
    (ExponentialBackoff, {}, "longest_seconds", [*NO_DURATIONS, 0.05]),
    (ExponentialBackoff, {}, "factor", [0.9, float("nan"), float("inf"), True]),
    (ExponentialBackoff, {}, "jitter", ["some", None, True]),
    (ConstantBackoff, {}, "wait_seconds", [-1, float("nan"), float("inf"), True]),
    (ConstantBackoff, {"wait_seconds": 1}, "jitter_seconds", [-1, float("nan"), True]),
    (RetryBudget, {}, "ratio", [0, -1, 11, float("nan"), True]),
    (RetryBudget, {}, "minimum_per_second", [-1, float("nan"), float("inf"), True]),
    (RetryBudget, {}, "burst", [0, 0.5, float("nan"), float("inf"), True]),
    (CircuitBreaker, {}, "failure_threshold", NO_COUNTS),
    (CircuitBreaker, {}, "open_seconds", NO_DURATIONS),
    (CircuitBreaker, {}, "longest_open_seconds", [*[each for each in NO_DURATIONS if each is not None], 29]),
    (CircuitBreaker, {}, "probes", NO_COUNTS),
    (CircuitBreaker, {}, "probe_seconds", [0, -1, float("nan"), True]),
    (CircuitBreaker, {}, "failure_rate", NO_SHARES),
    (CircuitBreaker, {"slow_seconds": 1}, "slow_rate", NO_SHARES),
    (CircuitBreaker, {"slow_rate": 1}, "slow_seconds", NO_DURATIONS),
    (CircuitBreaker, {"failure_threshold": 5}, "failure_threshold", []),
    (CircuitBreaker, RATE, "failure_threshold", [5]),
    (CircuitBreaker, {}, "window_calls", [10]),
    (CircuitBreaker, {}, "window_seconds", [10]),
    (CircuitBreaker, {}, "minimum_calls", [10]),
    (CircuitBreaker, RATE, "window_calls", NO_COUNTS),
    (CircuitBreaker, RATE, "window_seconds", [0, -1, float("nan"), True]),
    (CircuitBreaker, RATE | {"window_seconds": 1}, "window_calls", [10]),
    (CircuitBreaker, RATE | {"window_calls": 5}, "minimum_calls", [6, 0, True]),
    (CircuitBreaker, {}, "on", [BaseException, "OSError"]),
    (CircuitBreaker, {}, "excluding", [GeneratorExit, 3]),
    (Hedge, HEDGE, "after_seconds", [*NO_DURATIONS[:-2], timedelta(0)]),
    (Hedge, HEDGE | {"after_seconds": None}, "after_percentile", [None, 0.95, 49, 100, float("nan"), True, "95"]),
    (Hedge, HEDGE, "idempotent", [False, None, 1, "yes"]),
    (Hedge, HEDGE, "attempts", [*NO_COUNTS, 1]),
    (Hedge, HEDGE, "budget", [*NO_SHARES, None]),
    (Fallback, {}, "answer", [[], {}, set(), bytearray(), list, dict]),
    (Fallback, {"answer": 0}, "on", [(), BaseException, KeyboardInterrupt, "OSError", 3, (OSError, 3)]),
    (Chaos, {"error": OSError}, "when", [*NO_SHARES, None, list]),
    (Chaos, {"when": 0.5}, "latency_seconds", [-1, 0, float("nan"), True, "2"]),
    (Chaos, {"when": 0.5}, "error", [None, OSError(), KeyboardInterrupt, "OSError"]),
    (Chaos, {"when": 0.5, "error": OSError}, "enabled", [None, 1, "yes", bool]),
    (Bulkhead, {}, "limit", [*NO_COUNTS, None]),
    (Bulkhead, {"limit": 1}, "waiting", [-1, 1.5, True, None]),
    (Bulkhead, {"limit": 1}, "wait_seconds", [2]),
    (Bulkhead, {"limit": 1, "waiting": 1}, "wait_seconds", [0, -1, float("nan"), True]),
    (AimdLimit, {}, "initial", [*NO_COUNTS, 201]),
    (AimdLimit, {}, "minimum", [*NO_COUNTS, 21]),
    (AimdLimit, {}, "maximum", [*NO_COUNTS, 19]),
    (AimdLimit, {}, "decrease", [0, 1, 1.1, float("nan"), True]),
    (AimdLimit, {}, "slow_seconds", [0, -1, float("nan"), True]),
    (GradientLimit, {}, "initial", [*NO_COUNTS, 201]),
    (GradientLimit, {}, "tolerance", [0.9, float("nan"), float("inf"), True]),
    (RateLimiter, {}, "rate", [0, -1, float("nan"), float("inf"), True, "3", None]),
    (RateLimiter, {"rate": 1}, "per_seconds", NO_DURATIONS),
    (RateLimiter, {"rate": 1}, "burst", NO_COUNTS),
    (RateLimiter, {"rate": 1}, "key", ["user", 3]),
    (RateLimiter, {"rate": 1}, "wait_seconds", [-1, float("nan"), float("inf"), True, None]),
    (RateLimiter, {"rate": 1}, "most_keys", NO_COUNTS),
    (CircuitBreaker, {}, "name", ["", 3]),
    (CircuitBreaker, {}, "listener", [3, "log"]),
]


@pytest.mark.parametrize(
    ("policy", "others", "name", "value"),
    [(policy, others, name, value) for policy, others, name, values in CASES for value in values],
)
def test_a_parameter_that_cannot_be_meant_is_named(policy: Any, others: dict[str, Any], name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{policy.__name__}: .*\b{name}="):
        policy(**(others | {name: value}))


def test_durations_may_be_timedeltas() -> None:
    assert Timeout(timedelta(milliseconds=1500)).seconds == 1.5
    assert ConstantBackoff(timedelta(0)).wait_seconds == 0.0


def test_a_retry_has_to_be_told_what_to_retry() -> None:
    with pytest.raises(TypeError, match="on"):
        Retry()  # type: ignore[call-arg]


def test_classes_with_their_own_backoff_leave_none_for_all() -> None:
    with pytest.raises(ValueError, match="backoff="):
        Retry(on={OSError: ConstantBackoff(1)}, backoff=ConstantBackoff(2))


@pytest.mark.parametrize("policies", [(), (OSError,), (Retry,), (Retry(on=OSError), None)])
def test_a_pipeline_takes_policies_and_at_least_one(policies: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^ResiliencePipeline: "):
        ResiliencePipeline(*policies)
