"""The functions that a retry is given: refused where they cannot be called, and blamed where they fail."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from insula.kernel import Unavailable
from insula.resilience import Chaos, CircuitBreaker, ConstantBackoff, Fallback, RateLimiter, Retry, attempts_of
from insula.resilience.asked_waits import AskedWait
from insula.testing import VirtualClock
from support.ways import Script, Way

SECOND = ConstantBackoff(1.0)


def no_condition(error: Exception) -> bool:
    raise ZeroDivisionError("a mistake")


def no_backoff(attempt: int) -> float:
    raise ZeroDivisionError("a mistake")


async def async_condition(error: Exception) -> bool:
    return True


@pytest.mark.parametrize(
    "retry",
    [
        Retry(on=no_condition),
        Retry(on=OSError, backoff=no_backoff),
        Retry(on=OSError, backoff=lambda _: "soon"),  # type: ignore[arg-type, return-value]
        Retry(on=OSError, retry_after=no_condition),
        Retry(on=OSError, retry_after=lambda _: [3]),  # type: ignore[arg-type, return-value]
    ],
)
def test_a_mistake_in_one_does_not_hide_the_error_of_the_call(retry: Retry, way: Way) -> None:
    failed = ConnectionError("refused")
    with pytest.raises((ZeroDivisionError, TypeError)) as raised:
        way.call(retry, Script(failed))
    assert raised.value.__context__ is failed
    (note,) = raised.value.__notes__
    assert note.startswith("Retry: raised by one of the functions given to it, when ")
    assert note.endswith("had failed with ConnectionError: refused")
    assert "ConnectionError: refused" in "".join(traceback.format_exception(raised.value))


def test_a_condition_may_raise_the_error_itself(way: Way) -> None:
    failed = ConnectionError("refused")

    def again(error: Exception) -> bool:
        raise error

    with pytest.raises(ConnectionError) as raised:
        way.call(Retry(on=again), Script(failed))
    assert (raised.value, attempts_of(failed), failed.__context__) == (failed, (), None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Retry(on=lambda: True), r"Retry: on=.* is called with an error; give a class of errors, several"),
        (lambda: Retry(on=lambda _, __: True), r"on=.* takes \(_, __\), and is called with an error"),
        (lambda: Retry(on=OSError, backoff=lambda: 3), r"backoff=.* is called with a number; give a function of the"),
        (lambda: Retry(on={OSError: lambda _, __: 3}), r"backoff=.* is called with a number"),
        (lambda: Retry(on=OSError, retry_after=lambda: 3), r"retry_after=.* is called with an error"),
        (lambda: Retry(on=OSError, listener=lambda: None), r"listener=.* takes \(\), and is called with an event"),
        (lambda: Retry(on=async_condition), r"Retry: on=async_condition is async, and nobody would await it"),
        (lambda: Retry(on=OSError, listener=async_condition), r"listener=async_condition is async"),
        (lambda: CircuitBreaker(listener=async_condition), r"CircuitBreaker: listener=async_condition is async"),
        (lambda: RateLimiter(3, key=async_condition), r"RateLimiter: key=async_condition is async"),
        (lambda: Chaos(async_condition, latency_seconds=1), r"Chaos: when=async_condition is async"),
        (lambda: Chaos(0.1, error=async_condition), r"Chaos: error=async_condition is async"),
        (lambda: Chaos(0.1, latency_seconds=1, enabled=async_condition), r"Chaos: enabled=async_condition is async"),
        (lambda: Chaos(0.1, error=lambda error: error), r"Chaos: error=.* is called without arguments"),
        (lambda: Fallback(lambda: 1), r"Fallback: answer=.* give a value, or a function of the error"),
    ],
)
def test_a_function_that_could_not_be_called_is_refused_where_it_is_given(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("policy", [Retry, Fallback])
def test_a_policy_without_its_parentheses_says_so(policy: Any) -> None:
    with pytest.raises(TypeError, match=rf"write the parentheses first: @{policy.__name__}\(\.\.\.\)"):

        @policy
        def nothing() -> None:
            pass


def test_so_do_those_that_take_numbers_first() -> None:
    with pytest.raises(TypeError, match=r"To decorate .*nothing, write the parentheses: @CircuitBreaker\(\.\.\.\)"):

        @CircuitBreaker  # type: ignore[arg-type]
        def nothing() -> None:
            pass


NOON = datetime(2030, 1, 1, tzinfo=UTC)  # when virtual time begins


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (7, 7.0),
        (timedelta(seconds=7), 7.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Tue, 01 Jan 2030 00:00:07 GMT", 7.0),
        (NOON + timedelta(seconds=7), 7.0),
        ((NOON + timedelta(seconds=7)).replace(tzinfo=None), 7.0),
        (0.5, 1.0),
        (NOON - timedelta(days=1), 1.0),
        ("Mon, 31 Dec 2029 00:00:00 GMT", 1.0),
        ("soon", 1.0),
        ("inf", 1.0),
        ("-3", 1.0),
        ("Tue, 01 Jan 2030 00:00:07 +99999999999999", 1.0),
        (True, 1.0),
        (None, 1.0),
    ],
)
@pytest.mark.parametrize("by_function", [False, True])
def test_what_an_error_asks_for_is_waited_at_least_however_it_says_so(
    asked: AskedWait, waited: float, by_function: bool, clock: VirtualClock
) -> None:
    class Busy(Exception):
        retry_after = None if by_function else asked

    retry = Retry(on=Busy, backoff=SECOND, retry_after=(lambda _: asked) if by_function else None)
    Way("sync", clock).call(retry, Script(Busy(), "paid"))
    assert clock.monotonic() == waited


def test_where_the_function_says_nothing_the_error_itself_does(way: Way) -> None:
    retry = Retry(on=Unavailable, backoff=SECOND, retry_after=lambda _: None)
    way.call(retry, Script(Unavailable(retry_after=7), "paid"))
    assert way.clock.monotonic() == 7.0


def test_an_attribute_of_that_name_may_be_anything(way: Way) -> None:
    class Busy(Exception):
        def retry_after(self) -> float:
            return 7.0

    way.call(Retry(on=Busy, backoff=SECOND), Script(Busy(), "paid"))
    assert way.clock.monotonic() == 1.0
