from __future__ import annotations

import asyncio
from typing import Any

import pytest

from insula.kernel import Rejection
from insula.resilience import CircuitBreaker, ConstantBackoff, Fallback, ResiliencePipeline, Retry, TimedOut, Timeout
from insula.resilience.events import FellBack
from insula.testing import VirtualClock
from support.ways import Script, Way


class SoldOut(Rejection):
    """Business says no."""

    left: int


def test_a_call_that_works_is_left_alone(way: Way) -> None:
    assert way.call(Fallback("nobody knows"), Script("paid")) == "paid"


def test_a_value_stands_in_for_a_call_that_failed(way: Way) -> None:
    assert way.call(Fallback(None), Script(ConnectionError())) is None


def test_a_function_is_told_the_error(way: Way) -> None:
    fallback = Fallback(lambda error: f"not now: {error}")
    assert way.call(fallback, Script(ConnectionError("refused"))) == "not now: refused"


def test_a_rejection_is_an_answer_already(way: Way) -> None:
    with pytest.raises(SoldOut):
        way.call(Fallback("plenty"), Script(SoldOut(left=0)))


def test_only_the_errors_that_it_was_told_are_answered(way: Way) -> None:
    fallback = Fallback("cached", on=(ConnectionError, TimeoutError))
    assert way.call(fallback, Script(TimeoutError())) == "cached"
    with pytest.raises(KeyError):
        way.call(fallback, Script(KeyError("card")))


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit])
def test_what_ends_a_task_passes(way: Way, error: type[BaseException]) -> None:
    with pytest.raises(error):
        way.call(Fallback("cached"), Script(error()))


def test_the_function_may_raise_the_error_again(way: Way) -> None:
    def only_if_it_has_arguments(error: Exception) -> str:
        if not error.args:
            raise error
        return "cached"

    fallback = Fallback(only_if_it_has_arguments)
    assert way.call(fallback, Script(ConnectionError("refused"))) == "cached"
    with pytest.raises(ConnectionError):
        way.call(fallback, Script(ConnectionError()))


def test_an_error_of_the_fallback_shows_what_it_was_to_answer(way: Way) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        way.call(Fallback(lambda _: 1 / 0), Script(ConnectionError("refused")))
    assert isinstance(raised.value.__context__, ConnectionError)


def test_outermost_it_answers_for_all_the_policies_within(way: Way) -> None:
    retry, breaker = Retry(on=ConnectionError, backoff=ConstantBackoff(0)), CircuitBreaker(failure_threshold=3)
    script = Script(ConnectionError())
    pipeline = ResiliencePipeline(Fallback("cached"), retry, breaker)
    assert [way.call(pipeline, script) for _ in range(3)] == ["cached"] * 3
    assert (script.calls, breaker.snapshot().state) == (3, "open")


def test_whoever_listens_hears_the_error(way: Way) -> None:
    heard: list[Any] = []
    way.call(Fallback("cached", name="prices", listener=heard.append), Script("paid"))
    assert heard == []
    way.call(Fallback("cached", name="prices", listener=heard.append), Script(ConnectionError()))
    assert [(type(event), event.policy, type(event.error)) for event in heard] == [
        (FellBack, "prices", ConnectionError)
    ]


async def test_around_async_code_the_function_may_be_async(clock: VirtualClock) -> None:
    async def look_into_the_cache(error: Exception) -> str:
        await clock.sleep(1)
        return f"cached, since {type(error).__name__}"

    async def ask() -> str:
        await clock.sleep(60)
        return "fresh"

    for fallback in (Fallback(look_into_the_cache), Fallback(lambda why: look_into_the_cache(error=why))):
        pipeline = ResiliencePipeline(fallback, Timeout(2))
        assert await clock.run(pipeline.call(ask)) == "cached, since TimedOut"
    assert clock.monotonic() == 6.0


async def test_a_timeout_around_it_ends_the_fallback_too(clock: VirtualClock) -> None:
    async def look_into_the_cache(error: Exception) -> None:
        await clock.sleep(60)

    async def ask() -> None:
        raise ConnectionError

    with pytest.raises(TimedOut):
        await clock.run(ResiliencePipeline(Timeout(2), Fallback(look_into_the_cache)).call(ask))
    assert clock.monotonic() == 2.0


def test_an_async_fallback_of_a_plain_function_is_refused() -> None:
    async def look_into_the_cache(error: Exception) -> None: ...

    def ask() -> None: ...

    with pytest.raises(TypeError, match=r"ask is a plain function.*look_into_the_cache is async; make both plain"):
        Fallback(look_into_the_cache)(ask)
