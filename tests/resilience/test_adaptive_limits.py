"""Limits that adapt, as decisions: what follows from how long calls took; and one against a server."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import Unavailable
from insula.resilience import AimdLimit, Bulkhead, BulkheadFull, GradientLimit, ResiliencePipeline, Timeout
from insula.resilience.adaptive_limits import AdaptiveLimit, LimitState
from insula.resilience.events import LimitChanged
from insula.testing import VirtualClock

RULES: list[AdaptiveLimit] = [
    AimdLimit(initial=20, minimum=3, maximum=60, slow_seconds=0.3),
    GradientLimit(initial=20, minimum=3, maximum=60),
]
both = pytest.mark.parametrize("rule", RULES, ids=["aimd", "gradient"])
CALLS = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 80), st.booleans()), max_size=400)


def calls(state: LimitState, rounds: int, call_seconds: float, *, used: bool = True, overloaded: bool = False) -> int:
    """Rounds of calls that all take that long, with the limit fully used or hardly."""
    for _ in range(rounds):
        for _ in range(max(10, state.limit)):
            state.observe(call_seconds, state.limit if used else 1, overloaded)
    return state.limit


@both
@given(CALLS)
def test_it_stays_within_its_bounds_whatever_happens(
    rule: AdaptiveLimit, history: list[tuple[float, int, bool]]
) -> None:
    state = rule.start()
    assert state.limit == 20
    for call_seconds, running, overloaded in history:
        assert 3 <= state.observe(call_seconds, running, overloaded) == state.limit <= 60


@both
@given(st.floats(0.001, 0.2))
def test_it_grows_to_its_maximum_while_calls_are_quick_and_the_limit_is_used(
    rule: AdaptiveLimit, call_seconds: float
) -> None:
    state = rule.start()
    before = state.limit
    for _ in range(100):
        after = calls(state, 1, call_seconds)
        assert after >= before
        before = after
    assert before == 60


@both
@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=30))
def test_idle_traffic_does_not_make_it_grow(rule: AdaptiveLimit, durations: list[float]) -> None:
    state = rule.start()
    for call_seconds in durations:
        assert calls(state, 1, call_seconds, used=False) <= 20


@both
@given(st.floats(0.01, 0.1), st.floats(3, 10), st.integers(0, 20))
def test_it_falls_while_calls_take_longer_and_longer(
    rule: AdaptiveLimit, call_seconds: float, factor: float, quiet_rounds: int
) -> None:
    state = rule.start()
    before = calls(state, 1 + quiet_rounds, call_seconds)
    slow = max(call_seconds * factor, 0.3)
    for _ in range(5):
        after = calls(state, 1, slow)
        assert after < before
        before, slow = after, slow * 1.5


@both
@given(st.floats(0, 0.2))
def test_it_falls_at_signs_of_overload_but_once_a_round(rule: AdaptiveLimit, call_seconds: float) -> None:
    state = rule.start()
    for _ in range(19):
        assert state.observe(call_seconds, 20, overloaded=True) == 20
    assert state.observe(call_seconds, 20, overloaded=True) == 18


def crowd(state: LimitState, rounds: int, workers: int) -> int:
    """Rounds of calls to a callee that takes a tenth of a second, and longer for more calls than it has workers."""
    for _ in range(rounds):
        calls(state, 1, 0.1 * max(1.0, state.limit / workers))
    return state.limit


def test_a_callee_that_is_overloaded_for_hours_does_not_become_usual() -> None:
    state = GradientLimit(initial=5).start()
    assert all(crowd(state, 1, workers=10) <= 25 for _ in range(5_000))


def test_a_first_limit_that_is_far_too_high_is_found_out() -> None:
    state = GradientLimit(initial=100).start()
    crowd(state, 400, workers=10)
    assert all(crowd(state, 1, workers=10) <= 25 for _ in range(400))


def test_a_callee_that_has_become_slower_for_good_becomes_usual() -> None:
    state = GradientLimit(initial=20).start()
    calls(state, 10, 0.1)
    assert calls(state, 50, 0.5) < 20
    assert calls(state, 400, 0.5) > 100


@pytest.mark.parametrize("error", [TimeoutError(), Unavailable()])
async def test_within_a_bulkhead_it_sees_which_errors_mean_overload(clock: VirtualClock, error: Exception) -> None:
    heard: list[object] = []
    bulkhead = Bulkhead(AimdLimit(initial=10), name="pay", listener=heard.append)

    @bulkhead
    async def charge(error: Exception | None) -> None:
        if error is not None:
            raise error

    for each in [error, *[KeyError()] * 9]:
        with pytest.raises(type(each)):
            await charge(each)
    assert bulkhead.snapshot().limit == 9
    assert heard == [LimitChanged("pay", 10, 9)]


async def test_within_a_bulkhead_it_sees_that_a_timeout_around_ended_the_call(clock: VirtualClock) -> None:
    bulkhead = Bulkhead(AimdLimit(initial=10))
    slow = ResiliencePipeline(Timeout(1), bulkhead)
    await clock.run(asyncio.gather(*(slow.call(clock.sleep, 60) for _ in range(10)), return_exceptions=True))
    assert bulkhead.snapshot().limit == 9
    tasks = [asyncio.create_task(bulkhead.call(clock.sleep, 60)) for _ in range(9)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert bulkhead.snapshot().limit == 9


class Server:
    """Serves so many calls at once, in a tenth of a second each; the others queue inside it."""

    def __init__(self, clock: VirtualClock, workers: int) -> None:
        self.clock = clock
        self.workers = asyncio.Semaphore(workers)
        self.served = 0
        self.longest_seconds = 0.0

    async def serve(self) -> None:
        began = self.clock.monotonic()
        async with self.workers:
            await self.clock.sleep(0.1)
        self.served += 1
        self.longest_seconds = max(self.longest_seconds, self.clock.monotonic() - began)


async def press(clock: VirtualClock, bulkhead: Bulkhead, server: Server, clients: int, seconds: float) -> float:
    """Clients that call as often as they are let; how many calls a second were served."""
    until, before = clock.monotonic() + seconds, server.served
    server.longest_seconds = 0.0

    async def client() -> None:
        while clock.monotonic() < until:
            try:
                await bulkhead.call(server.serve)
            except BulkheadFull:
                await clock.sleep(0.05)

    await clock.run(asyncio.gather(*(client() for _ in range(clients))))
    return (server.served - before) / seconds


@pytest.mark.parametrize(
    "rule", [GradientLimit(initial=5, maximum=100), AimdLimit(initial=5, maximum=100, slow_seconds=0.2)]
)
@pytest.mark.parametrize("workers", [10, 20])
async def test_it_finds_what_a_server_bears_and_keeps_its_queue_short(
    clock: VirtualClock, rule: AdaptiveLimit, workers: int
) -> None:
    bulkhead, server = Bulkhead(rule), Server(clock, workers)
    await press(clock, bulkhead, server, clients=100, seconds=25)
    served = await press(clock, bulkhead, server, clients=100, seconds=5)
    assert workers <= bulkhead.snapshot().limit <= 2.5 * workers
    assert served >= 0.9 * workers * 10
    assert server.longest_seconds <= 0.31
