from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass

import pytest

from insula.kernel import Deadline, Rejection, Unavailable, ambient_deadline
from insula.resilience import ConstantBackoff, ExponentialBackoff, ResiliencePipeline, Retry, Timeout, attempts_of
from insula.resilience.events import GaveUp, Retried
from insula.testing import VirtualClock
from support.ways import Script, Way

SECOND = ConstantBackoff(1.0)


class OutOfStock(Rejection):
    pass


def test_after_two_failures_the_third_attempt_succeeds(way: Way) -> None:
    script = Script(ConnectionError(), ConnectionError(), "paid")
    assert way.call(Retry(on=ConnectionError, backoff=SECOND), script) == "paid"
    assert (script.calls, way.clock.monotonic()) == (3, 2.0)


def test_success_at_once_is_called_once(way: Way) -> None:
    script = Script("paid")
    assert way.call(Retry(on=ConnectionError), script) == "paid"
    assert (script.calls, way.clock.monotonic()) == (1, 0.0)


def test_the_last_error_itself_is_raised_with_every_attempt(way: Way) -> None:
    errors = [ConnectionError("one"), ConnectionError("two"), TimeoutError("three")]
    with pytest.raises(TimeoutError) as raised:
        way.call(Retry(on=(ConnectionError, TimeoutError), backoff=SECOND), Script(*errors))
    assert raised.value is errors[2]
    attempts = attempts_of(raised.value)
    assert [attempt.error for attempt in attempts] == errors
    assert [attempt.delay for attempt in attempts] == [1.0, 1.0, None]
    shown = "".join(traceback.format_exception(raised.value))
    assert "Retry: 3 attempts: ConnectionError: one" in shown
    assert "that was the last attempt" in shown
    assert shown.index("ConnectionError: one") < shown.index("ConnectionError: two")
    assert errors[2].__context__ is errors[1]


def test_an_error_that_was_never_retried_has_no_attempts(way: Way) -> None:
    with pytest.raises(KeyError) as raised:
        way.call(Retry(on=ConnectionError), Script(KeyError("sku")))
    assert attempts_of(raised.value) == ()
    assert not hasattr(raised.value, "__notes__")


def test_another_error_ends_it_and_still_has_the_attempts_before(way: Way) -> None:
    with pytest.raises(KeyError) as raised:
        way.call(Retry(on=ConnectionError), Script(ConnectionError(), KeyError("sku")))
    assert [type(attempt.error) for attempt in attempts_of(raised.value)] == [ConnectionError, KeyError]


def test_a_rejection_is_never_retried_even_by_a_broad_class(way: Way) -> None:
    script = Script(OutOfStock())
    with pytest.raises(OutOfStock):
        way.call(Retry(on=Exception), script)
    assert script.calls == 1


def test_naming_a_rejection_is_refused() -> None:
    with pytest.raises(TypeError, match="OutOfStock is a Rejection"):
        Retry(on=(ConnectionError, OutOfStock))


def test_a_function_says_which_errors_to_retry(way: Way) -> None:
    script = Script(OSError(11, "again"), OSError(5, "broken"))
    with pytest.raises(OSError, match="broken"):
        way.call(Retry(on=lambda error: getattr(error, "errno", 0) == 11), script)
    assert script.calls == 2


def test_each_class_may_have_its_own_backoff(way: Way) -> None:
    retry = Retry(on={ConnectionError: ConstantBackoff(1.0), OSError: lambda attempt: 10.0 * attempt})
    way.call(retry, Script(ConnectionError(), OSError(), "paid"))
    assert way.clock.monotonic() == 21.0


def test_what_the_other_side_asks_for_is_waited_at_least(way: Way) -> None:
    busy = Unavailable("busy", retry_after=7.0)
    way.call(Retry(on=Unavailable, backoff=SECOND), Script(busy, Unavailable("busy", retry_after=0.5), "paid"))
    assert way.clock.monotonic() == 8.0


def test_a_retry_never_starts_that_the_deadline_does_not_allow(way: Way) -> None:
    script = Script(ConnectionError())
    token = ambient_deadline.set(Deadline.after(2.5, way.clock).at)
    with pytest.raises(ConnectionError) as raised:
        way.call(Retry(on=ConnectionError, attempts=9, backoff=SECOND), script)
    ambient_deadline.reset(token)
    assert (script.calls, way.clock.monotonic()) == (3, 2.0)
    assert "the next would begin in 1 s, and only 0.5 s are left" in raised.value.__notes__[0]


def test_a_timeout_around_it_is_such_a_deadline(clock: VirtualClock) -> None:
    way = Way("async", clock)
    script = Script(ConnectionError())
    with way.runner, pytest.raises(ConnectionError):
        way.call(ResiliencePipeline(Timeout(1.5), Retry(on=ConnectionError, attempts=9, backoff=SECOND)), script)
    assert (script.calls, clock.monotonic()) == (2, 1.0)


def test_whoever_listens_hears_of_each_attempt_and_of_the_end(way: Way) -> None:
    heard: list[object] = []
    errors = [ConnectionError("one"), ConnectionError("two")]
    with pytest.raises(ConnectionError):
        way.call(
            Retry(on=ConnectionError, attempts=2, backoff=SECOND, name="pay", listener=heard.append), Script(*errors)
        )
    first, last = heard
    assert isinstance(first, Retried)
    assert (first.policy, first.attempt, first.delay_seconds, first.error) == ("pay", 1, 1.0, errors[0])
    assert isinstance(last, GaveUp)
    assert (last.attempt, last.because, last.error) == (2, "that was the last attempt", errors[1])
    assert attempts_of(errors[1])[0].duration == 0.0


def test_calls_of_one_policy_know_nothing_of_each_other(way: Way) -> None:
    retry = Retry(on=ConnectionError, backoff=SECOND)
    one, other = Script(ConnectionError(), "one"), Script(ConnectionError(), ConnectionError(), "other")
    assert [way.call(retry, script) for script in (one, other, one)] == ["one", "other", "one"]
    assert other.calls == 3


def test_one_error_raised_again_and_again_does_not_grow(way: Way) -> None:
    error = ConnectionError("the same")
    retry = Retry(on=ConnectionError, attempts=3)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            way.call(retry, Script(error))
    assert len(error.__notes__) == 1
    assert error.__context__ is None
    assert [attempt.error for attempt in attempts_of(error)] == [error] * 3


def test_an_error_that_allows_no_attributes_is_raised_as_it_is(way: Way) -> None:
    @dataclass(frozen=True)
    class Frozen(Exception):
        code: int

    with pytest.raises(Frozen) as raised:
        way.call(Retry(on=Frozen), Script(Frozen(1)))
    assert len(attempts_of(raised.value)) == 3


def test_so_are_several_that_allow_none(way: Way) -> None:
    @dataclass(frozen=True)
    class Frozen(Exception):
        code: int

    with pytest.raises(Frozen) as raised:
        way.call(Retry(on=Frozen), Script(Frozen(1), Frozen(2), Frozen(3)))
    assert raised.value.code == 3
    assert raised.value.__context__ == Frozen(2)


def test_blocks_are_retried(clock: VirtualClock) -> None:
    script = Script(ConnectionError(), ConnectionError(), "paid")
    seen = None
    for attempt in Retry(on=ConnectionError, backoff=SECOND):
        with attempt:
            seen = _play(script)
    assert (seen, script.calls, clock.monotonic()) == ("paid", 3, 2.0)


def test_a_block_raises_its_last_error(clock: VirtualClock) -> None:
    script = Script(ConnectionError())

    def pay() -> None:
        for attempt in Retry(on=ConnectionError):
            with attempt:
                _play(script)

    with pytest.raises(ConnectionError) as raised:
        pay()
    assert (script.calls, len(attempts_of(raised.value))) == (3, 3)


async def test_async_blocks_are_retried(clock: VirtualClock) -> None:
    script = Script(ConnectionError(), ConnectionError(), "paid")

    async def work() -> object:
        seen = None
        async for attempt in Retry(on=ConnectionError, backoff=SECOND):
            with attempt:
                seen = _play(script)
        return seen

    assert await clock.run(work()) == "paid"
    assert clock.monotonic() == 2.0


async def test_leaving_an_async_block_leaves_no_task_behind() -> None:
    async for attempt in Retry(on=ConnectionError):
        with attempt:
            break
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_chance_spreads_the_waits_and_a_seed_repeats_them(way: Way) -> None:
    way.call(Retry(on=ConnectionError, backoff=ExponentialBackoff(1.0)), Script(ConnectionError(), "paid"))
    assert 0 < way.clock.monotonic() < 1
    assert way.clock.monotonic() == pytest.approx(0.13436424)


def _play(script: Script) -> object:
    outcome = script.next()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
