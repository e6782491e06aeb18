from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from typing import Any

import pytest

from insula.kernel import Rejection, Unavailable, ambient_deadline
from insula.resilience import CircuitBreaker, CircuitOpen, ResiliencePipeline, TimedOut, Timeout
from insula.resilience.events import Closed, HalfOpened, Opened, Refused
from insula.testing import VirtualClock
from support.ways import Script, Way


class OutOfStock(Rejection):
    pass


def fail(way: Way, breaker: CircuitBreaker, times: int = 1, error: BaseException | None = None) -> None:
    """Let calls within the breaker fail."""
    error = error or ConnectionError()
    for _ in range(times):
        with pytest.raises(type(error)):
            way.call(breaker, Script(error))


def state(breaker: CircuitBreaker) -> str:
    return breaker.snapshot().state


def test_failures_open_it_calls_are_refused_at_once_and_a_trial_closes_it(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=3, open_seconds=30, name="payments")
    fail(way, breaker, 3)
    script = Script("paid")
    way.clock.advance(10)
    with pytest.raises(CircuitOpen, match=r"payments: the circuit is open, 3 failures in a row; try again in 20 s"):
        way.call(breaker, script)
    assert (script.calls, state(breaker)) == (0, "open")
    way.clock.advance(20)
    assert way.call(breaker, script) == "paid"
    assert (script.calls, state(breaker)) == (1, "closed")


def test_a_refusal_says_when_to_come_again(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=1, open_seconds=30)
    fail(way, breaker)
    way.clock.advance(12)
    with pytest.raises(Unavailable) as refused:
        way.call(breaker, Script("paid"))
    assert refused.value.retry_after == 18.0


def test_callers_whose_time_is_over_say_nothing_about_the_callee(way: Way) -> None:
    breaker, script = CircuitBreaker(failure_threshold=1, on=TimedOut), Script("paid")
    token = ambient_deadline.set(0.0)
    with pytest.raises(TimedOut, match="before it began"):
        way.call(ResiliencePipeline(breaker, Timeout(2, on_thread=not way.is_async)), script)
    ambient_deadline.reset(token)
    assert (script.calls, state(breaker)) == (0, "closed")


def test_a_success_between_failures_keeps_it_closed(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    for _ in range(5):
        fail(way, breaker)
        way.call(breaker, Script("paid"))
    assert state(breaker) == "closed"


def test_a_trial_that_fails_opens_it_again_and_longer_if_so_told(way: Way) -> None:
    heard: list[object] = []
    breaker = CircuitBreaker(1, open_seconds=10, longest_open_seconds=25, listener=heard.append)
    fail(way, breaker)
    for wait in (10, 20, 25):
        way.clock.advance(wait)
        fail(way, breaker)
    assert [event.open_seconds for event in heard if isinstance(event, Opened)] == [10, 20, 25, 25]


@pytest.mark.parametrize("error", [OutOfStock(), KeyError(), asyncio.CancelledError(), KeyboardInterrupt()])
def test_what_is_no_failure_does_not_open_it(way: Way, error: BaseException) -> None:
    breaker = CircuitBreaker(failure_threshold=1, on=OSError, excluding=FileNotFoundError)
    if isinstance(error, KeyboardInterrupt) and way.is_async:
        return  # it would end the loop itself
    fail(way, breaker, 3, error)
    fail(way, breaker, 3, FileNotFoundError())
    assert state(breaker) == "closed"
    fail(way, breaker, 1, ConnectionError())
    assert state(breaker) == "open"


def test_a_rejection_is_an_answer_and_ends_a_row_of_failures(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    for error in (ConnectionError(), OutOfStock(), ConnectionError()):
        fail(way, breaker, 1, error)
    assert state(breaker) == "closed"


def test_a_cancelled_call_is_neither_success_nor_failure(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    for error in (ConnectionError(), asyncio.CancelledError(), ConnectionError()):
        fail(way, breaker, 1, error)
    assert state(breaker) == "open"


def test_a_share_of_the_last_calls_opens_it(way: Way) -> None:
    breaker = CircuitBreaker(failure_rate=0.5, window_calls=4, minimum_calls=4)
    for error in (None, None, ConnectionError()):
        way.call(breaker, Script("paid")) if error is None else fail(way, breaker)
    assert state(breaker) == "closed"
    fail(way, breaker)
    assert state(breaker) == "open"


def test_a_share_of_the_last_seconds_opens_it_and_old_failures_are_forgotten(way: Way) -> None:
    breaker = CircuitBreaker(failure_rate=0.5, window_seconds=10, minimum_calls=4)
    fail(way, breaker, 3)
    way.clock.advance(10)
    fail(way, breaker, 3)
    assert state(breaker) == "closed"
    fail(way, breaker)
    assert state(breaker) == "open"


def test_calls_that_are_slow_open_it(way: Way) -> None:
    breaker = CircuitBreaker(slow_rate=0.5, slow_seconds=2, minimum_calls=4)
    for seconds in (0.0, 1.9, 2.0, 3.0):
        way.call(breaker, Script(seconds))
    assert state(breaker) == "open"


async def test_calls_that_are_slow_count_while_they_still_run(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(slow_rate=1.0, slow_seconds=2, minimum_calls=3)
    hanging = [asyncio.create_task(breaker.call(clock.sleep, 100.0)) for _ in range(3)]
    await asyncio.sleep(0)
    clock.advance(2)
    with pytest.raises(CircuitOpen, match=r"3 of 3 calls took over 2 s"):
        await breaker.call(clock.sleep, 0.0)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_slow_call_that_fails_at_last_counts_as_one_call_slow_and_failed(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_rate=1.0, slow_rate=1.0, slow_seconds=2, minimum_calls=10)

    async def fail_late() -> None:
        await clock.sleep(5)
        raise ConnectionError

    late = asyncio.create_task(breaker.call(fail_late))
    await asyncio.sleep(0)
    clock.advance(3)
    await breaker.call(clock.sleep, 0.0)
    assert (breaker.snapshot().calls, breaker.snapshot().failures, breaker.snapshot().slow) == (2, 0, 1)
    clock.advance(2)
    with pytest.raises(ConnectionError):
        await late
    assert (breaker.snapshot().calls, breaker.snapshot().failures, breaker.snapshot().slow) == (2, 1, 1)


async def test_of_100_tasks_at_a_half_open_breaker_exactly_the_probes_get_through(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, open_seconds=30, probes=2)
    started = 0
    release = asyncio.Event()

    @breaker
    async def charge(fails: bool = False) -> None:
        nonlocal started
        if fails:
            raise ConnectionError
        started += 1
        await release.wait()

    with pytest.raises(ConnectionError):
        await charge(fails=True)
    clock.advance(30)
    callers = [asyncio.create_task(charge()) for _ in range(100)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert started == 2
    release.set()
    ended = await asyncio.gather(*callers, return_exceptions=True)
    assert (started, sum(isinstance(each, CircuitOpen) for each in ended)) == (2, 98)
    assert state(breaker) == "closed"


def test_of_100_threads_at_a_half_open_breaker_exactly_the_probes_get_through(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, open_seconds=30, probes=2)
    together, release = threading.Barrier(100), threading.Event()
    started: list[int] = []
    refused: list[CircuitOpen] = []

    @breaker
    def charge(fails: bool = False) -> None:
        if fails:
            raise ConnectionError
        started.append(1)
        release.wait(10)

    def caller() -> None:
        together.wait(10)
        try:
            charge()
        except CircuitOpen as error:
            refused.append(error)
            if len(refused) == 98:
                release.set()

    with pytest.raises(ConnectionError):
        charge(fails=True)
    clock.advance(30)
    threads = [threading.Thread(target=copy_context().run, args=(caller,)) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(started), len(refused), state(breaker)) == (2, 98, "closed")


def test_a_probe_that_is_cancelled_makes_room_for_another(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=1, open_seconds=30)
    fail(way, breaker)
    way.clock.advance(30)
    fail(way, breaker, 3, asyncio.CancelledError())
    assert state(breaker) == "half-open"
    way.call(breaker, Script("paid"))
    assert state(breaker) == "closed"


async def test_a_probe_that_never_comes_back_makes_room_after_a_time(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, open_seconds=30, probe_seconds=5)
    with pytest.raises(ConnectionError):
        await breaker.call(_failing)
    clock.advance(30)
    lost = asyncio.create_task(breaker.call(clock.sleep, 1000.0))
    await asyncio.sleep(0)
    with pytest.raises(CircuitOpen, match="half-open, its probes are under way"):
        await breaker.call(clock.sleep, 0.0)
    clock.advance(5)
    await breaker.call(clock.sleep, 0.0)
    assert state(breaker) == "closed"
    lost.cancel()


async def test_a_call_from_before_it_opened_says_nothing_about_now(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=2, open_seconds=30)
    gate = asyncio.Event()

    async def late(fails: bool) -> None:
        await gate.wait()
        if fails:
            raise ConnectionError

    calls = [asyncio.create_task(breaker.call(late, fails)) for fails in (True, True, False, True, True, True)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*calls, return_exceptions=True)
    assert (state(breaker), breaker.snapshot().retry_after) == ("open", 30.0)
    clock.advance(30)
    await breaker.call(clock.sleep, 0.0)
    assert state(breaker) == "closed"


def test_a_shadow_tells_and_refuses_nothing(way: Way) -> None:
    heard: list[object] = []
    breaker = CircuitBreaker(failure_threshold=1, shadow=True, listener=heard.append)
    fail(way, breaker)
    script = Script("paid")
    assert [way.call(breaker, script) for _ in range(3)] == ["paid"] * 3
    assert [type(event) for event in heard] == [Opened, Refused, Refused, Refused]
    way.clock.advance(30)
    way.call(breaker, script)
    assert [type(event) for event in heard[4:]] == [HalfOpened, Closed]


def test_a_breaker_is_forced_by_hand_until_it_is_reset(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    breaker.force_open()
    way.clock.advance(10_000)
    with pytest.raises(CircuitOpen, match="held open by hand"):
        way.call(breaker, Script("paid"))
    breaker.force_closed()
    fail(way, breaker, 5)
    assert state(breaker) == "forced closed"
    breaker.reset()
    fail(way, breaker)
    assert state(breaker) == "open"
    breaker.reset()
    assert way.call(breaker, Script("paid")) == "paid"


def test_a_snapshot_has_the_numbers_for_a_dashboard(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=2, name="payments")
    fail(way, breaker)
    assert (breaker.snapshot().name, breaker.snapshot().failures) == ("payments", 1)
    fail(way, breaker)
    fail(way, breaker, 3, CircuitOpen())
    assert (breaker.snapshot().state, breaker.snapshot().refused, breaker.snapshot().retry_after) == ("open", 3, 30.0)


def test_a_block_is_watched_like_a_function(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    for _ in range(2):
        with pytest.raises(ConnectionError), breaker, CircuitBreaker():
            raise ConnectionError
    with pytest.raises(CircuitOpen), breaker:
        raise AssertionError("not reached")


async def test_an_async_block_too(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    with pytest.raises(ConnectionError):
        async with breaker:
            raise ConnectionError
    assert state(breaker) == "open"


def test_no_call_waits_for_another(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_rate=0.5)
    together = threading.Barrier(10)
    threads = [threading.Thread(target=copy_context().run, args=(breaker.call, together.wait, 10)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (10, 0)


class Quorum:
    """What three other processes have seen."""

    def __init__(self) -> None:
        self.others = 0
        self.published: list[bool] = []

    def publish(self, breaker: str, is_open: bool) -> None:
        self.published.append(is_open)

    def quorum_says_open(self, breaker: str) -> bool:
        return self.others >= 2


def test_a_quorum_of_other_processes_opens_it_and_its_own_probe_closes_it(way: Way) -> None:
    quorum = Quorum()
    breaker = CircuitBreaker(failure_threshold=1, shared=quorum)
    quorum.others = 1
    way.call(breaker, Script("paid"))
    quorum.others = 2
    with pytest.raises(CircuitOpen, match="other processes have seen it fail"):
        way.call(breaker, Script("paid"))
    way.clock.advance(30)
    for _ in range(3):
        way.call(breaker, Script("paid"))
    assert (state(breaker), quorum.published) == ("closed", [False])
    fail(way, breaker)
    assert quorum.published == [False, True]


def test_what_others_have_seen_does_no_harm_where_it_cannot_be_asked(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    class Lost(Quorum):
        def publish(self, breaker: str, is_open: bool) -> None:
            raise OSError("the store is gone")

        def quorum_says_open(self, breaker: str) -> bool:
            raise OSError("the store is gone")

    breaker = CircuitBreaker(failure_threshold=1, shared=Lost())
    assert way.call(breaker, Script("paid")) == "paid"
    fail(way, breaker)
    assert state(breaker) == "open"
    way.clock.advance(30)
    assert way.call(breaker, Script("paid")) == "paid"
    assert "CircuitBreaker: shared= failed" in caplog.text


async def _failing() -> Any:
    raise ConnectionError
