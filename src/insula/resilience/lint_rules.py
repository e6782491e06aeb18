"""The rules of `lint`: each looks at policies, outermost first, and says what is wrong and what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import TypeAlias, TypeVar

from insula.kernel.errors import DeadlineExceeded, Rejection, Unavailable
from insula.kernel.randomness import Randomness
from insula.resilience.backoff import Backoff
from insula.resilience.bulkhead import Bulkhead
from insula.resilience.chaos import Chaos
from insula.resilience.circuit import CircuitOpen
from insula.resilience.circuit_breaker import CircuitBreaker
from insula.resilience.circuit_states import Verdict
from insula.resilience.entrance import BulkheadFull
from insula.resilience.fallback import Fallback
from insula.resilience.hedge import Hedge
from insula.resilience.policy import Policy
from insula.resilience.retry import Retry
from insula.resilience.timeout import TimedOut, Timeout

Outer = TypeVar("Outer", bound=Policy)
Inner = TypeVar("Inner", bound=Policy)
Policies: TypeAlias = Sequence[Policy]
_USUAL = (ConnectionError, TimeoutError, OSError, Unavailable, DeadlineExceeded, TimedOut)
_LOOKED_AT = 1000


def _pairs(policies: Policies, outer: type[Outer], inner: type[Inner]) -> Iterator[tuple[Outer, Inner, Policies]]:
    """Each policy of one kind with each of another inside it, and what stands between them."""
    for (start, first), (end, second) in combinations(enumerate(policies), 2):
        if isinstance(first, outer) and isinstance(second, inner):
            yield first, second, policies[start + 1 : end]


def _has(policies: Policies, *kinds: type[Policy]) -> bool:
    return any(isinstance(each, kinds) for each in policies)


def _of(timeout: Timeout) -> str:
    return f"{timeout.name} of {timeout.seconds:g} s"


# Retries


def _nested_retries(policies: Policies) -> Iterator[str]:
    samples = _samples(policies)
    for outer, inner, _ in _pairs(policies, Retry, Retry):
        if any(_handles(outer, each) and _handles(inner, each) for each in samples):
            yield (
                f"{inner.name} within {outer.name} retries the same errors: {outer.attempts} x {inner.attempts} "
                f"attempts; leave one of them out, or let on= of {outer.name} name errors of its own"
            )


def _retry_of_open_circuit(policies: Policies) -> Iterator[str]:
    for retry, breaker, _ in _pairs(policies, Retry, CircuitBreaker):
        of_open, of_others = (_asked(retry.backoff_for, kind("a sample")) for kind in (CircuitOpen, Unavailable))
        # Whoever means open circuits names them, or gives them a backoff of their own.
        if of_open is not None and of_open is of_others and CircuitOpen not in retry.on and not breaker.shadow:
            yield (
                f"on= of {retry.name} matches CircuitOpen, so callers wait up to {breaker.rules.open_seconds:g} s for "
                f"{breaker.name} and come back all at once; write what may pass, such as on=(ConnectionError, "
                "TimeoutError), or name CircuitOpen there if it is meant"
            )


def _backoff_without_time(policies: Policies) -> Iterator[str]:
    for position, retry in enumerate(policies):
        around = [each for each in policies[:position] if isinstance(each, Timeout)]
        if isinstance(retry, Retry) and around:
            timeout = min(around, key=lambda each: each.seconds)
            fit = min(_attempts_within(timeout.seconds, backoff, retry.attempts) for backoff in retry.backoffs)
            if fit < retry.attempts:
                yield (
                    f"{retry.name} has {retry.attempts} attempts, and its shortest waits leave time for {fit} within "
                    f"{_of(timeout)}; write attempts={fit}, shorter waits or a longer timeout"
                )


def _attempts_within(seconds: float, backoff: Backoff, most: int) -> int:
    """How many attempts can begin if none takes any time and every wait is as short as chance allows."""
    began, previous = 0.0, 0.0
    for attempt in range(1, min(most, _LOOKED_AT)):
        delay = _asked(backoff.delay, attempt, previous, _LEAST)
        if delay is None:
            return most
        began, previous = began + delay, delay
        if began >= seconds:
            return attempt
    return most


class _Least:
    """The chance that makes every wait the shortest."""

    def random(self) -> float:
        return 0.0

    def bits(self, n: int) -> int:
        return 0


_LEAST: Randomness = _Least()


def _timeout_not_retried(policies: Policies) -> Iterator[str]:
    for retry, timeout, between in _pairs(policies, Retry, Timeout):
        if not _has(between, Retry, Fallback) and _refuses(retry, TimedOut("a sample")):
            yield (
                f"{_of(timeout)} within {retry.name} ends an attempt that hangs, and that is not tried again: on= of "
                f"{retry.name} does not match TimedOut; write TimeoutError there too, or put {timeout.name} around "
                f"{retry.name}"
            )


# Order


def _breaker_around_retry(policies: Policies) -> Iterator[str]:
    for breaker, retry, _ in _pairs(policies, CircuitBreaker, Retry):
        yield (
            f"{breaker.name} is around {retry.name}, so that {retry.attempts} attempts that fail count as one failure, "
            f"and an open circuit does not end the attempts; put {retry.name} around {breaker.name}"
        )


def _bulkhead_around_retry(policies: Policies) -> Iterator[str]:
    for bulkhead, retry, _ in _pairs(policies, Bulkhead, Retry):
        yield (
            f"{bulkhead.name} is around {retry.name}, so that a call holds its place while it waits for its next "
            f"attempt; put {retry.name} around {bulkhead.name}"
        )


def _policy_twice(policies: Policies) -> Iterator[str]:
    for policy in {id(each): each for each in policies}.values():
        times = sum(each is policy for each in policies)
        if times > 1:
            yield (
                f"{policy.name} stands {times} times around one call, which it counts as often; leave all but one out, "
                f"or make another {type(policy).__name__} for each"
            )


# Timeouts


def _timeout_without_effect(policies: Policies) -> Iterator[str]:
    for outer, inner, between in _pairs(policies, Timeout, Timeout):
        if inner.seconds >= outer.seconds and not _has(between, Retry):
            yield (
                f"{_of(inner)} never ends a call, since {_of(outer)} around it comes first; give the inner one less "
                "than the outer one, or leave one out"
            )


def _no_time_to_retry(policies: Policies) -> Iterator[str]:
    for outer, inner, between in _pairs(policies, Timeout, Timeout):
        if inner.seconds >= outer.seconds and _has(between, Retry):
            yield (
                f"{_of(outer)} is for all attempts, and {_of(inner)} for each of them: after one that is slow no other "
                f"can begin; give {inner.name} less, or {outer.name} more"
            )


# Hedges


def _hedge_that_never_begins(policies: Policies) -> Iterator[str]:
    outside = ((hedge, timeout) for timeout, hedge, _ in _pairs(policies, Timeout, Hedge))
    within = (
        (hedge, timeout)
        for hedge, timeout, between in _pairs(policies, Hedge, Timeout)
        if not _has(between, Retry, Fallback)
    )
    for hedge, timeout in (*outside, *within):
        if hedge.after_seconds is not None and timeout.seconds <= hedge.after_seconds:
            yield (
                f"{hedge.name} begins another attempt after {hedge.after_seconds:g} s, and {_of(timeout)} has ended "
                "the call by then; write a smaller after_seconds="
            )


def _hedge_around_retry(policies: Policies) -> Iterator[str]:
    for hedge, retry, _ in _pairs(policies, Hedge, Retry):
        yield (
            f"{hedge.name} is around {retry.name}, whose waits look like slowness, so that each of {hedge.attempts} "
            f"attempts may become {retry.attempts}; put {retry.name} around {hedge.name}"
        )


def _hedge_without_budget(policies: Policies) -> Iterator[str]:
    for hedge in policies:
        if isinstance(hedge, Hedge) and hedge.budget.ratio >= 1:
            yield (
                f"{hedge.name} may hedge every call, so that a slow neighbour gets twice the load; write a small "
                "budget=, such as 0.1"
            )


# Fallbacks and chaos


def _fallback_hides_errors(policies: Policies) -> Iterator[str]:
    samples = _samples(policies)
    for outer, fallback, _ in _pairs(policies, Policy, Fallback):
        seen = [each for each in samples if _handles(outer, each)]
        if seen and all(_asked(fallback.answers, each) for each in seen):
            yield (
                f"{outer.name} never sees an error, since {fallback.name} within it answers them; put {fallback.name} "
                "around it"
            )


def _fallback_hides_overload(policies: Policies) -> Iterator[str]:
    for fallback, bulkhead, _ in _pairs(policies, Fallback, Bulkhead):
        answers = _asked(fallback.answers, BulkheadFull("a sample")), _asked(fallback.answers, Unavailable("a sample"))
        if answers[0] and (answers[1] or fallback.on) and BulkheadFull not in fallback.on:
            yield (
                f"{fallback.name} answers when {bulkhead.name} is full, so that callers do not learn to send less; "
                "write the errors of the callee as on=, or name BulkheadFull there if it is meant"
            )


def _chaos_enabled(policies: Policies) -> Iterator[str]:
    for chaos in policies:
        if isinstance(chaos, Chaos) and chaos.enabled is True:
            yield f"{chaos.name} is on for good; write enabled= a flag or another function, or leave it out"


RULES: dict[str, Callable[[Policies], Iterator[str]]] = {
    "nested-retries": _nested_retries,
    "retry-of-open-circuit": _retry_of_open_circuit,
    "timeout-not-retried": _timeout_not_retried,
    "breaker-around-retry": _breaker_around_retry,
    "bulkhead-around-retry": _bulkhead_around_retry,
    "policy-twice": _policy_twice,
    "backoff-without-time": _backoff_without_time,
    "timeout-without-effect": _timeout_without_effect,
    "no-time-to-retry": _no_time_to_retry,
    "hedge-never-begins": _hedge_that_never_begins,
    "hedge-around-retry": _hedge_around_retry,
    "hedge-without-budget": _hedge_without_budget,
    "fallback-hides-errors": _fallback_hides_errors,
    "fallback-hides-overload": _fallback_hides_overload,
    "chaos-enabled": _chaos_enabled,
}


# What policies do about errors, tried out on samples: a rule given as a function cannot be read.


def _samples(policies: Policies) -> list[Exception]:
    """One error of every class that the policies name, and of those that calls usually raise."""
    named = (each for policy in policies for each in getattr(policy, "on", ()))
    return [kind.__new__(kind) for kind in dict.fromkeys((*named, *_USUAL))]


def _handles(policy: Policy, error: Exception) -> bool:
    """Whether an error makes the policy do something."""
    match policy:
        case Retry():
            return _asked(policy.backoff_for, error) is not None
        case CircuitBreaker():
            return bool(_asked(policy.failures.matches, error)) and policy.verdict(error) is Verdict.FAILURE
        case Hedge():
            return not isinstance(error, Rejection)
        case _:
            return False


def _refuses(retry: Retry, error: Exception) -> bool:
    """Whether a retry surely does not try again after an error."""
    try:
        return retry.backoff_for(error) is None
    except Exception:
        return False


R = TypeVar("R")


def _asked(function: Callable[..., R], *arguments: object) -> R | None:
    """What a user's function says; None if it does not cope with a sample."""
    try:
        return function(*arguments)
    except Exception:
        return None
