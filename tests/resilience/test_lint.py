from __future__ import annotations

import functools
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from insula.kernel import Unavailable
from insula.resilience import (
    Bulkhead,
    BulkheadFull,
    Chaos,
    CircuitBreaker,
    CircuitOpen,
    ConstantBackoff,
    ExponentialBackoff,
    Fallback,
    Hedge,
    Policy,
    ResiliencePipeline,
    Retry,
    RetryBudget,
    TimedOut,
    Timeout,
    lint,
)

USUAL: Any = (ConnectionError, TimeoutError)


class NotThere(Exception):
    """An error that is part of the contract."""


def rules(*policies: Policy) -> list[str]:
    return [finding.rule for finding in lint(ResiliencePipeline(*policies))]


def hedge(after_seconds: float = 0.05, **parameters: Any) -> Hedge:
    return Hedge(after_seconds, idempotent=True, **parameters)


def growing(**parameters: Any) -> ExponentialBackoff:
    return ExponentialBackoff(1, jitter="none", **parameters)


SHARED_BREAKER = CircuitBreaker(name="payments")
MISTAKES: dict[str, list[tuple[Policy, ...]]] = {
    "nested-retries": [
        (Retry(on=USUAL), Retry(on=USUAL)),
        (Retry(on=OSError), Fallback(None, on=NotThere), Retry(on=ConnectionError)),
        (Retry(on=(NotThere, TimedOut)), ResiliencePipeline(Timeout(1), Retry(on={NotThere: ConstantBackoff(0)}))),
        (Retry(on=lambda error: isinstance(error, TimeoutError)), Retry(on=TimeoutError)),
    ],
    "retry-of-open-circuit": [
        (Retry(on=Exception), CircuitBreaker()),
        (Retry(on=(ConnectionError, TimeoutError, Unavailable)), Timeout(1), CircuitBreaker()),
        (Retry(on=lambda _: True), CircuitBreaker()),
        (Timeout(5), Retry(on={ConnectionError: growing(), Exception: ConstantBackoff(0)}), CircuitBreaker()),
    ],
    "timeout-not-retried": [
        (Retry(on=ConnectionError), Timeout(1)),
        (Retry(on=lambda error: isinstance(error, ConnectionError)), CircuitBreaker(), Timeout(1)),
    ],
    "breaker-around-retry": [(CircuitBreaker(), Retry(on=USUAL)), (CircuitBreaker(), Timeout(2), Retry(on=USUAL))],
    "bulkhead-around-retry": [(Bulkhead(5), Retry(on=USUAL))],
    "policy-twice": [
        (SHARED_BREAKER, SHARED_BREAKER),
        (Retry(on=USUAL), SHARED_BREAKER, ResiliencePipeline(Bulkhead(5), SHARED_BREAKER)),
    ],
    "backoff-without-time": [
        (Timeout(3), Retry(on=USUAL, attempts=3, backoff=growing())),
        (Timeout(9), Timeout(2), Retry(on=USUAL, attempts=9, backoff=lambda attempt: 0.1 * attempt)),
        (Timeout(1), Retry(on={OSError: ConstantBackoff(0.1), NotThere: ConstantBackoff(1)})),
        (Timeout(5), ResiliencePipeline(Retry(on=USUAL, backoff=ExponentialBackoff(10, jitter="equal")))),
    ],
    "timeout-without-effect": [
        (Timeout(2), Timeout(3)),
        (Timeout(2), CircuitBreaker(), Timeout(2)),
    ],
    "no-time-to-retry": [
        (Timeout(2), Retry(on=USUAL), Timeout(2)),
        (Timeout(2), Retry(on=USUAL), CircuitBreaker(), Timeout(10)),
    ],
    "hedge-never-begins": [
        (Timeout(1), hedge(1)),
        (hedge(2), Timeout(1)),
    ],
    "hedge-around-retry": [(hedge(), Retry(on=USUAL))],
    "hedge-without-budget": [(hedge(budget=1.0),), (hedge(budget=RetryBudget(2)),)],
    "fallback-hides-errors": [
        (Retry(on=USUAL), Fallback(None)),
        (Retry(on=ConnectionError), CircuitBreaker(on=NotThere), Fallback(None, on=OSError)),
        (CircuitBreaker(), Fallback(None)),
        (hedge(), Fallback(None)),
    ],
    "fallback-hides-overload": [
        (Fallback(None), Bulkhead(5)),
        (Fallback(None, on=Unavailable), Retry(on=USUAL), Bulkhead(5)),
        (Fallback(None, on=lambda error: isinstance(error, Unavailable)), Bulkhead(5)),
    ],
    "chaos-enabled": [(Retry(on=USUAL), Chaos(0.1, error=ConnectionError, enabled=True))],
}


@pytest.mark.parametrize(
    ("rule", "policies"), [(rule, policies) for rule, pipelines in MISTAKES.items() for policies in pipelines]
)
def test_a_mistake_is_found_by_its_rule_alone(rule: str, policies: tuple[Policy, ...]) -> None:
    assert rules(*policies) == [rule]


@pytest.mark.parametrize(
    "policies",
    [
        (Timeout(2), Retry(on=USUAL, attempts=3), CircuitBreaker(failure_threshold=5, open_seconds=30), Bulkhead(5)),
        (Timeout(2), Retry(on=USUAL, budget=RetryBudget()), CircuitBreaker(), Bulkhead(5), Timeout(0.5)),
        (Fallback(None, on=(*USUAL, CircuitOpen)), Timeout(2), Retry(on=USUAL), CircuitBreaker(), Bulkhead(5)),
        (Fallback(None, on=(Exception, BulkheadFull)), Bulkhead(5)),
        (Fallback(None, on=lambda error: isinstance(error, BulkheadFull)), Bulkhead(5)),
        (Fallback(None, on=lambda error: error.code == 3), Bulkhead(5)),  # type: ignore[attr-defined]
        (Retry(on=lambda error: error.number == 3), Timeout(2)),  # type: ignore[attr-defined]
        (Retry(on=lambda error: isinstance(error, TimeoutError)), Timeout(2)),
        (Retry(on=NotThere), Fallback(None, on=TimeoutError), Timeout(2)),
        (Timeout(2), Retry(on=NotThere)),
        (Fallback(None), Timeout(2), Retry(on=USUAL), hedge(), CircuitBreaker(), Timeout(0.5)),
        (Timeout(2), Hedge(after_percentile=95, idempotent=True), CircuitBreaker()),
        (hedge(2), Fallback(None, on=NotThere), Timeout(1)),
        (Retry(on=(ConnectionError, CircuitOpen)), CircuitBreaker()),
        (Retry(on={CircuitOpen: ConstantBackoff(1), Unavailable: growing()}), CircuitBreaker()),
        (Retry(on=lambda error: isinstance(error, CircuitOpen)), CircuitBreaker()),
        (Retry(on=Exception), CircuitBreaker(shadow=True)),
        (Retry(on=NotThere), Retry(on=USUAL)),
        (Retry(on=USUAL), Fallback(None, on=ConnectionError)),
        (CircuitBreaker(), Fallback(None, on=NotThere)),
        (Retry(on=lambda error: error.code == 3), Fallback(None)),  # type: ignore[attr-defined]
        (Timeout(10), Retry(on=USUAL, attempts=9)),
        (Timeout(3.1), Retry(on=USUAL, attempts=3, backoff=growing())),
        (Retry(on=USUAL, attempts=9, backoff=growing()), Timeout(1)),
        (Retry(on=USUAL), CircuitBreaker(on=lambda error: error.code == 3)),  # type: ignore[attr-defined]
        (Timeout(5), Retry(on=USUAL, backoff=lambda _: 1 / 0)),
        (Timeout(2), Retry(on=USUAL), Timeout(1.9)),
        (Chaos(0.1, error=ConnectionError), Chaos(0.1, error=ConnectionError, enabled=lambda: True)),
    ],
)
def test_what_may_well_be_meant_is_no_finding(policies: tuple[Policy, ...]) -> None:
    assert lint(ResiliencePipeline(*policies)) == []


def test_pipelines_within_pipelines_are_looked_through() -> None:
    inner = ResiliencePipeline(CircuitBreaker(), ResiliencePipeline(Timeout(5)))
    assert rules(ResiliencePipeline(Timeout(2)), Retry(on=USUAL), inner) == ["no-time-to-retry"]


def test_a_policy_alone_is_looked_at_too() -> None:
    assert [finding.rule for finding in lint(Chaos(0.1, error=OSError, enabled=True))] == ["chaos-enabled"]
    assert lint(Retry(on=Exception)) == []


def test_a_finding_names_the_policies_and_says_what_to_write() -> None:
    retry, breaker = Retry(on=Exception, name="try again"), CircuitBreaker(open_seconds=5, name="payments")
    (finding,) = lint(ResiliencePipeline(retry, breaker))
    assert str(finding) == (
        "on= of try again matches CircuitOpen, so callers wait up to 5 s for payments and come back all at once; write "
        "what may pass, such as on=(ConnectionError, TimeoutError), or name CircuitOpen there if it is meant "
        "[retry-of-open-circuit]"
    )
    with pytest.raises(FrozenInstanceError):
        finding.rule = "another"  # type: ignore[misc]


def test_attempts_that_cannot_begin_are_counted() -> None:
    (finding,) = lint(ResiliencePipeline(Timeout(4), Retry(on=USUAL, attempts=5, backoff=ConstantBackoff(1.5))))
    assert "has 5 attempts, and its shortest waits leave time for 3 within Timeout of 4 s; write attempts=3" in str(
        finding
    )


def test_a_retry_for_ever_is_looked_at_in_no_time() -> None:
    assert rules(Timeout(1e9), Retry(on=USUAL, attempts=10**9, backoff=ConstantBackoff(0.1))) == []


def test_the_policies_around_a_decorated_function_are_looked_at() -> None:
    @Retry(on=Exception)
    @logged
    @ResiliencePipeline(CircuitBreaker(), Bulkhead(5))
    def charge() -> None:
        pass

    assert [finding.rule for finding in lint(charge)] == ["retry-of-open-circuit"]


def logged(function: Any) -> Any:
    """A decorator of somebody else, which copies the attributes of what it decorates."""

    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


def test_those_of_a_method_too() -> None:
    class Client:
        @Chaos(0.1, error=OSError, enabled=True)
        def get(self) -> None:
            pass

    assert [finding.rule for finding in lint(Client().get)] == ["chaos-enabled"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, r"5 is no policy; give a policy, a pipeline or a function that one decorates"),
        (logged, r"logged is decorated by no policy; give a policy, a pipeline or a function that one decorates"),
        ([Retry(on=Exception), CircuitBreaker()], r"write lint\(ResiliencePipeline\(\*policies\)\)"),
    ],
)
def test_what_has_no_policies_is_refused(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        lint(given)


def test_findings_in_a_pipeline_that_has_a_name_begin_with_it() -> None:
    (finding,) = lint(ResiliencePipeline(Bulkhead(5), Retry(on=USUAL), name="payments"))
    assert finding.text.startswith("payments: Bulkhead is around Retry, so that a call holds its place")
