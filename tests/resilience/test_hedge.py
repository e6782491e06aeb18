from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from insula.kernel import Rejection, ambient_deadline
from insula.resilience import Hedge, ResiliencePipeline, TimedOut, Timeout
from insula.resilience.events import Hedged, HedgeSkipped
from insula.testing import VirtualClock
from support.replicas import Replicas


class SoldOut(Rejection):
    """Business says no."""

    left: int


def after(seconds: float, **parameters: Any) -> Hedge:
    return Hedge(seconds, idempotent=True, **parameters)


async def turns() -> None:
    """Let every task that can run come to its next wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_call_that_is_quick_takes_place_once(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (0.9, None))
    assert await clock.run(after(1).call(replicas.ask)) == 1
    clock.advance(60)
    await turns()
    assert replicas.began == [0.0]


async def test_one_that_is_slow_has_another_attempt_beside_it_and_the_first_answer_counts(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (9, None), (0.5, None))
    assert await clock.run(after(1).call(replicas.ask)) == 2
    assert replicas.began == [0.0, 1.0]
    assert replicas.ended == {1: (1.5, "cancelled"), 2: (1.5, "answered")}


async def test_the_first_attempt_may_still_win(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (1.5, None), (9, None))
    assert await clock.run(after(1).call(replicas.ask)) == 1
    assert replicas.ended == {1: (1.5, "answered"), 2: (1.5, "cancelled")}


async def test_the_loser_has_cleaned_up_before_the_call_returns(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (9, None), (0.5, None), cleaning=3)
    assert await clock.run(after(1).call(replicas.ask)) == 2
    assert clock.monotonic() == 4.5
    assert replicas.ended[1] == (4.5, "cancelled")


async def test_there_are_as_many_attempts_as_it_says_one_after_each_delay(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (9, None))
    assert await clock.run(after(1, attempts=3).call(replicas.ask)) == 1
    assert replicas.began == [0.0, 1.0, 2.0]


# Failure


async def test_a_failure_before_the_delay_is_raised_at_once_since_a_hedge_is_no_retry(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (0.5, ConnectionError()))
    with pytest.raises(ConnectionError) as raised:
        await clock.run(after(1).call(replicas.ask))
    assert (replicas.began, clock.monotonic()) == ([0.0], 0.5)
    assert not hasattr(raised.value, "__notes__")


async def test_a_failure_leaves_the_others_their_chance_and_begins_no_more(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (1.5, ConnectionError()), (5, None))
    assert await clock.run(after(1, attempts=3).call(replicas.ask)) == 2
    assert replicas.began == [0.0, 1.0]


async def test_if_all_fail_the_first_error_is_raised_with_the_others_noted(clock: VirtualClock) -> None:
    errors = ConnectionError("the first"), TimeoutError("the second"), OSError("the third")
    replicas = Replicas(clock, *zip((9, 1.5, 2), errors, strict=True))
    with pytest.raises(TimeoutError) as raised:
        await clock.run(after(1, attempts=3, name="prices").call(replicas.ask))
    others = "attempt 3 failed too, OSError: the third; attempt 1 failed too, ConnectionError: the first"
    assert raised.value.__notes__ == [f"prices: attempt 2 failed first; {others}"]


async def test_a_rejection_is_an_answer_and_wins(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (9, None), (0.5, SoldOut(left=0)))
    with pytest.raises(SoldOut):
        await clock.run(after(1).call(replicas.ask))
    assert replicas.ended[1] == (1.5, "cancelled")


async def test_what_a_loser_raises_while_it_is_cancelled_reaches_nobody(clock: VirtualClock) -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    calls = 0

    async def ask() -> str:
        nonlocal calls
        calls += 1
        if calls > 1:
            return "answered"
        try:
            await clock.sleep(9)
        finally:
            raise KeyError("while cleaning up")

    assert await clock.run(after(1).call(ask)) == "answered"
    gc.collect()
    await turns()
    assert complaints == []


# Cancellation and time


async def test_a_cancellation_from_outside_ends_every_attempt_first(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (9, None), cleaning=1)
    task = asyncio.create_task(after(1).call(replicas.ask))
    await turns()
    clock.advance(1)
    await turns()
    task.cancel()
    await turns()
    assert not task.done()
    with pytest.raises(asyncio.CancelledError):
        await clock.run(task)
    assert replicas.ended == {1: (2.0, "cancelled"), 2: (2.0, "cancelled")}


async def test_one_that_comes_while_the_loser_cleans_up_stays_a_cancellation(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (9, None), (0.5, None), cleaning=60)
    task = asyncio.create_task(after(1).call(replicas.ask))
    for moment in (1, 0.5):
        await turns()
        clock.advance(moment)
    await turns()
    assert (replicas.ended[2], task.done()) == ((1.5, "answered"), False)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await clock.run(task)
    assert replicas.ended[1] == (1.5, "cancelled")


async def test_a_call_that_cancels_itself_is_cancelled(clock: VirtualClock) -> None:
    async def ask() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await after(1).call(ask)


async def test_a_coroutine_that_somebody_else_closes_leaves_no_attempt_behind(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (9, None))
    coroutine = after(1).call(replicas.ask)
    coroutine.send(None)
    await turns()
    coroutine.close()
    await turns()
    assert replicas.ended == {1: (0.0, "cancelled")}


async def test_a_timeout_around_it_ends_every_attempt(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (9, None))
    with pytest.raises(TimedOut):
        await clock.run(ResiliencePipeline(Timeout(2), after(1)).call(replicas.ask))
    assert replicas.ended == {1: (2.0, "cancelled"), 2: (2.0, "cancelled")}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_timeout_within_it_is_each_attempts_own(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (9, None), (1.75, None))
    assert await clock.run(ResiliencePipeline(after(1), Timeout(2)).call(replicas.ask)) == 2
    assert replicas.ended[1] == (2.0, "cancelled")


async def test_no_attempt_begins_at_which_the_deadline_is_over(clock: VirtualClock) -> None:
    replicas = Replicas(clock, (1.5, None))
    assert await clock.run(ResiliencePipeline(Timeout(2), after(2)).call(replicas.ask)) == 1
    assert await clock.run(ResiliencePipeline(Timeout(2), after(1, attempts=3)).call(replicas.ask)) == 2
    assert replicas.began == [0.0, 1.5, 2.5]


async def test_nor_one_that_has_less_time_than_half_of_the_calls_take(clock: VirtualClock) -> None:
    heard: list[Any] = []
    hedge = after(1, listener=heard.append)
    for _ in range(100):
        await clock.run(hedge.call(clock.sleep, 0.75))
    began = clock.monotonic()
    replicas = Replicas(clock, (9, None))
    for seconds in (1.75, 2.0):
        with pytest.raises(TimedOut):
            await clock.run(ResiliencePipeline(Timeout(seconds), hedge).call(replicas.ask))
    assert [round(each - began, 6) for each in replicas.began] == [0.0, 1.75, 2.75]
    assert [type(event) for event in heard] == [HedgeSkipped, Hedged]
    assert heard[0].because.startswith("only 0.75 s are left, and half of the calls take 0.7")


async def test_every_attempt_has_the_callers_context_and_deadline(clock: VirtualClock) -> None:
    customer: ContextVar[str] = ContextVar("customer")
    seen: list[object] = []

    async def ask() -> None:
        seen.append((customer.get(), ambient_deadline.get()))
        await clock.sleep(1.5)

    customer.set("ann")
    await clock.run(ResiliencePipeline(Timeout(5), after(1)).call(ask))
    assert seen == [("ann", 5.0)] * 2


# What is refused, and what is left behind


def test_a_plain_function_is_refused_with_what_to_do() -> None:
    def ask() -> None: ...

    with pytest.raises(
        TypeError, match=r"ask is a plain function, and nothing can cancel one that lost; make it async"
    ):
        after(1)(ask)


@pytest.mark.parametrize("idempotent", [False, None, 1, "yes"])
def test_what_may_not_take_place_twice_is_not_hedged(idempotent: Any) -> None:
    with pytest.raises(ValueError, match=r"a hedged call may take place more than once.*write idempotent=True"):
        Hedge(1, idempotent=idempotent)


def test_whether_a_call_is_idempotent_has_no_default() -> None:
    with pytest.raises(TypeError, match="idempotent"):
        Hedge(1)  # type: ignore[call-arg]


@pytest.mark.parametrize("delays", [{}, {"after_seconds": 1, "after_percentile": 95}])
def test_it_is_told_one_way_to_wait(delays: Any) -> None:
    with pytest.raises(ValueError, match=r"either after_seconds=0\.05 or after_percentile=95"):
        Hedge(**delays, idempotent=True)


@pytest.mark.parametrize("takes", [0.5, 9.0])
async def test_an_error_passes_with_no_cycle_that_keeps_its_frames(clock: VirtualClock, takes: float) -> None:
    class Big:
        pass

    seen: list[weakref.ref[Big]] = []

    async def ask() -> None:
        big = Big()
        seen.append(weakref.ref(big))
        await clock.sleep(takes)
        raise ConnectionError

    async def swallow(call: Callable[[], Any]) -> None:
        try:
            await call()
        except ConnectionError:
            pass

    hedge = after(1)
    gc.collect()
    gc.disable()
    try:
        await clock.run(swallow(lambda: hedge.call(ask)))
        await turns()
        assert [reference() for reference in seen] == [None] * (1 if takes < 1 else 2)
    finally:
        gc.enable()
