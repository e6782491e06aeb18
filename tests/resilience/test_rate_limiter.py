from __future__ import annotations

import asyncio
import os
from collections import deque
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import SeededRandomness, Unavailable, ambient_deadline, new_process, process_state
from insula.resilience import RateLimited, RateLimiter, ResiliencePipeline, Retry
from insula.resilience.events import Refused, Waited
from insula.resilience.rates import Rates
from insula.testing import VirtualClock, virtual_time
from support.ways import Script, Way


def test_two_calls_pass_the_third_is_refused_and_told_when_to_come(way: Way) -> None:
    limiter = RateLimiter(2, per_seconds=60, name="api")
    script = Script("hello")
    assert [way.call(limiter, script) for _ in range(2)] == ["hello", "hello"]
    with pytest.raises(RateLimited, match="api: too many calls; try again in 30 s") as refused:
        way.call(limiter, script)
    assert (script.calls, refused.value.status, refused.value.retry_after) == (2, 429, 30.0)
    assert isinstance(refused.value, Unavailable)
    way.clock.advance(30)
    assert way.call(limiter, script) == "hello"
    assert limiter.snapshot().refused == 1


def test_each_key_has_its_own_rate(clock: VirtualClock) -> None:
    limiter = RateLimiter(1, per_seconds=timedelta(seconds=10), key=lambda user, **_: user)

    @limiter
    def charge(user: str, amount: int = 0) -> str:
        return user

    assert [charge("ann"), charge("bob", amount=3)] == ["ann", "bob"]
    with pytest.raises(RateLimited, match="too many calls for 'ann'"):
        charge("ann", amount=5)
    assert (limiter.try_acquire("bob"), limiter.try_acquire("cid")) == (False, True)
    assert (limiter.retry_after("ann"), limiter.retry_after("dan")) == (10.0, 0.0)
    assert limiter.snapshot().keys == 3


def test_after_a_pause_a_whole_burst_may_come(clock: VirtualClock) -> None:
    limiter = RateLimiter(10, burst=3)
    for pause in (0.0, 0.1, 0.25, 60.0):
        clock.advance(pause)
        passed = sum(limiter.try_acquire() for _ in range(10))
        assert passed == {0.0: 3, 0.1: 1, 0.25: 2, 60.0: 3}[pause]


@pytest.mark.parametrize("rate", [1, 3, 7, 9.7, 1000])
@pytest.mark.parametrize("start", [0.0, 1234.567, 1e6 / 3])
def test_rounding_never_costs_a_call_that_comes_when_it_was_told_to(
    clock: VirtualClock, rate: float, start: float
) -> None:
    clock.advance(start)
    limiter = RateLimiter(rate)
    assert [limiter.try_acquire() for _ in range(int(rate))] == [True] * int(rate)
    for _ in range(20):
        clock.advance(limiter.retry_after())
        assert limiter.try_acquire()


def test_a_retry_around_it_comes_back_when_it_was_told_to(way: Way) -> None:
    limiter = RateLimiter(1, per_seconds=30)
    pipeline = ResiliencePipeline(Retry(on=RateLimited, backoff=lambda _: 0.0), limiter)
    assert [way.call(pipeline, Script("hello")) for _ in range(3)] == ["hello"] * 3
    assert way.clock.monotonic() == 60.0


def test_calls_that_may_wait_have_their_turn_one_after_the_other(way: Way) -> None:
    limiter = RateLimiter(2, burst=1, wait_seconds=5)
    for number in range(4):
        assert way.call(limiter, Script("hello")) == "hello"
        assert way.clock.monotonic() == number * 0.5


async def test_waiting_calls_are_spread_and_those_that_would_wait_too_long_are_refused_at_once(
    clock: VirtualClock,
) -> None:
    limiter, began = RateLimiter(1, wait_seconds=2), []

    @limiter
    async def call() -> None:
        began.append(clock.monotonic())

    results = await clock.run(asyncio.gather(*(call() for _ in range(5)), return_exceptions=True))
    assert began == [0.0, 1.0, 2.0]
    assert [each.retry_after for each in results if isinstance(each, RateLimited)] == [3.0, 3.0]


def test_nobody_waits_until_or_past_his_deadline(way: Way) -> None:
    limiter = RateLimiter(1, per_seconds=3, wait_seconds=10)
    way.call(limiter, Script("hello"))
    token = ambient_deadline.set(3.0)
    with pytest.raises(RateLimited):
        way.call(limiter, Script("hello"))
    ambient_deadline.set(-1.0)
    with pytest.raises(RateLimited):
        way.call(limiter, Script("hello"))
    ambient_deadline.reset(token)
    assert way.clock.monotonic() == 0.0
    assert way.call(limiter, Script("hello")) == "hello"


async def test_blocks_are_limited_too(clock: VirtualClock) -> None:
    limiter = RateLimiter(1, wait_seconds=1)
    with limiter:
        pass

    async def block() -> float:
        async with limiter:
            return clock.monotonic()

    assert await clock.run(block()) == 1.0
    strict = RateLimiter(1)
    with pytest.raises(RateLimited), strict, strict:
        pass
    with pytest.raises(TypeError, match="a block has no arguments for key="), RateLimiter(1, key=len):
        pass


def test_whoever_listens_hears_of_waits_and_refusals(way: Way) -> None:
    heard: list[object] = []
    limiter = RateLimiter(1, wait_seconds=1, name="api", listener=heard.append)
    for _ in range(2):
        way.call(limiter, Script("hello"))
    assert not limiter.try_acquire()
    assert heard == [Waited("api", 1.0), Refused("api", "too many calls", 1.0)]


def test_a_key_that_cannot_be_one_is_named(clock: VirtualClock) -> None:
    limiter = RateLimiter(1, key=lambda users: users, name="api")
    with pytest.raises(TypeError, match=r"api: the key \['ann'\] cannot be hashed"):
        limiter.call(len, ["ann"])


# Never above the rate

PAUSES = st.lists(st.one_of(st.just(0.0), st.floats(0, 3), st.sampled_from([0.1, 1 / 3, 1.0])), max_size=80)


@given(PAUSES, st.sampled_from([0.3, 1.0, 3.0, 10.0]), st.integers(1, 5), st.booleans())
def test_in_any_time_no_more_than_the_burst_and_what_the_rate_allows_and_no_less_either(
    pauses: list[float], rate: float, burst: int, keyed: bool
) -> None:
    with virtual_time() as clock:
        limiter = RateLimiter(rate, burst=burst, most_keys=4)
        passed: list[float] = []
        tokens, last = float(burst), 0.0
        for number, pause in enumerate(pauses):
            clock.advance(pause)
            if keyed:
                limiter.try_acquire(("other", number % 3))
            now = clock.monotonic()
            tokens, last = min(burst, tokens + (now - last) * rate), now
            expected = tokens >= 1
            if limiter.try_acquire("ann"):
                passed.append(now)
                tokens -= 1
                assert expected or tokens == pytest.approx(0, abs=1e-5)
            else:
                assert not expected or tokens == pytest.approx(1, abs=1e-5)
        for first, begin in enumerate(passed):
            for count, end in enumerate(passed[first:], start=1):
                assert count <= burst + rate * (end - begin) + 1e-5


# Memory


def seconds_for_a_million(rates: Rates) -> float:
    """What the processor needs for a call of each of a million keys."""
    began = os.times().user
    deque(map(rates.take, range(1_000_000)), maxlen=0)
    return os.times().user - began


def test_a_million_keys_that_come_and_go_leave_little_behind_and_take_little_time() -> None:
    class Ticking(VirtualClock):
        """A call every millisecond."""

        def monotonic(self) -> float:
            self._elapsed += 0.001
            return self._elapsed

    token = process_state.set(new_process(Ticking(), SeededRandomness(1)))
    limiter = RateLimiter(1, most_keys=1_500, key=lambda number: number)
    assert seconds_for_a_million(limiter.rates.current()) < 2
    snapshot = limiter.snapshot()
    process_state.reset(token)
    assert snapshot.forgotten == 0
    assert snapshot.keys <= 1_001


def test_a_million_keys_at_once_keep_to_the_bound_and_the_early_forgotten_are_counted(clock: VirtualClock) -> None:
    limiter = RateLimiter(1, per_seconds=3600, most_keys=1_000)
    assert seconds_for_a_million(limiter.rates.current()) < 2
    snapshot = limiter.snapshot()
    assert (snapshot.keys, snapshot.forgotten) == (1_000, 999_000)


def test_beyond_the_bound_the_key_whose_last_call_is_oldest_is_forgotten(clock: VirtualClock) -> None:
    limiter = RateLimiter(1, burst=2, per_seconds=3600, most_keys=2)
    for key in ("ann", "bob", "ann", "cid"):
        assert limiter.try_acquire(key)
    assert [limiter.try_acquire(key) for key in ("ann", "bob", "bob", "bob")] == [False, True, True, False]
    assert limiter.snapshot().forgotten == 2


def test_what_is_kept_for_nothing_becomes_less_with_every_call(clock: VirtualClock) -> None:
    limiter = RateLimiter(1)
    for number in range(1_000):
        limiter.try_acquire(number)
    sizes = []
    for _ in range(500):
        clock.advance(1)
        limiter.try_acquire("ann")
        sizes.append(limiter.snapshot().keys)
    assert sizes[:2] == [999, 997]
    assert sizes[-1] == 1
