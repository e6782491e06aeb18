from __future__ import annotations

from typing import Any

import pytest

from insula.kernel import SeededRandomness, new_process, process_state
from insula.resilience import ConstantBackoff, Hedge, ResiliencePipeline, Retry, RetryBudget, TimedOut, Timeout
from insula.resilience.events import Hedged, HedgeSkipped, HedgeWon
from insula.testing import VirtualClock
from support.replicas import Replicas


def after(seconds: float, **parameters: Any) -> Hedge:
    return Hedge(seconds, idempotent=True, **parameters)


# The budget


async def calls(clock: VirtualClock, hedge: Hedge, count: int) -> int:
    """How many attempts so many slow calls have."""
    replicas = Replicas(clock, (1.5, None))
    for _ in range(count):
        await clock.run(hedge.call(replicas.ask))
    return len(replicas.began)


async def test_a_tenth_of_the_calls_may_be_hedged_and_ten_are_saved_for_rare_ones(clock: VirtualClock) -> None:
    assert 1100 < await calls(clock, after(1), 1000) <= 1000 + 100 + 10


async def test_without_a_token_the_call_goes_on_alone_and_somebody_hears_of_it(clock: VirtualClock) -> None:
    heard: list[Any] = []
    hedge = after(1, budget=RetryBudget(ratio=0.1, minimum_per_second=0, burst=1), listener=heard.append)
    assert await calls(clock, hedge, 2) == 3
    assert [type(event) for event in heard] == [Hedged, HedgeSkipped]
    assert heard[-1].because == "the budget is used up"


async def test_a_retry_and_a_hedge_may_share_a_budget(clock: VirtualClock) -> None:
    budget = RetryBudget(ratio=0.1, minimum_per_second=0, burst=1)
    retry = Retry(on=ConnectionError, backoff=ConstantBackoff(0), budget=budget)
    replicas = Replicas(clock, (9, ConnectionError()))
    with pytest.raises(ConnectionError) as raised:
        await clock.run(ResiliencePipeline(retry, after(1, budget=budget)).call(replicas.ask))
    assert len(replicas.began) == 2
    assert raised.value.__notes__[-1].endswith("the retry budget is used up")


# The percentile


async def test_by_percentile_it_learns_from_a_hundred_calls_and_goes_on_learning(clock: VirtualClock) -> None:
    hedge = Hedge(after_percentile=95, idempotent=True)
    seconds = [0.25] * 94 + [2.0] * 6
    for each in seconds[1:]:
        await clock.run(hedge.call(clock.sleep, each))
    assert hedge.snapshot().after_seconds is None
    await clock.run(hedge.call(clock.sleep, seconds[0]))
    assert 2.0 <= (hedge.snapshot().after_seconds or 0) <= 2.2
    for _ in range(100):
        await clock.run(hedge.call(clock.sleep, 0.25))
    assert 0.25 <= (hedge.snapshot().after_seconds or 0) <= 0.275


async def test_a_first_attempt_that_lost_counts_as_slow(clock: VirtualClock) -> None:
    hedge = Hedge(after_percentile=90, idempotent=True, budget=1.0)
    for _ in range(100):
        await clock.run(hedge.call(clock.sleep, 1.0))
    for _ in range(400):
        assert await clock.run(hedge.call(Replicas(clock, (9, None), (0.5, None)).ask)) == 2
    assert (hedge.snapshot().after_seconds or 0) >= 1.0


async def test_so_does_a_call_that_ran_out_of_time(clock: VirtualClock) -> None:
    hedge = Hedge(after_percentile=90, idempotent=True)
    for _ in range(100):
        await clock.run(hedge.call(clock.sleep, 1.0))
    for _ in range(25):
        with pytest.raises(TimedOut):
            await clock.run(ResiliencePipeline(Timeout(2), hedge).call(clock.sleep, 9.0))
    assert (hedge.snapshot().after_seconds or 0) >= 2.0


async def test_quick_failures_say_nothing_of_how_long_calls_take(clock: VirtualClock) -> None:
    hedge = Hedge(after_percentile=95, idempotent=True)
    for _ in range(100):
        await clock.run(hedge.call(clock.sleep, 1.0))
    for _ in range(500):
        with pytest.raises(ConnectionError):
            await clock.run(hedge.call(Replicas(clock, (0.1, ConnectionError())).ask))
    assert (hedge.snapshot().after_seconds or 0) >= 1.0


# What is seen


async def test_whoever_listens_hears_of_attempts_and_of_those_that_won(clock: VirtualClock) -> None:
    heard: list[Any] = []
    hedge = after(1, name="prices", listener=heard.append)
    await clock.run(hedge.call(Replicas(clock, (9, None), (0.5, None)).ask))
    await clock.run(hedge.call(Replicas(clock, (1.5, None), (9, None)).ask))
    ask = "Replicas.ask"
    assert heard == [Hedged("prices", ask, 2, 1.0), HedgeWon("prices", ask, 2, 1.5), Hedged("prices", ask, 2, 1.0)]


async def test_a_dashboard_sees_the_delay_the_counts_and_what_is_left(clock: VirtualClock) -> None:
    hedge = after(1, budget=RetryBudget(ratio=0.01, minimum_per_second=0, burst=2), name="prices")
    await calls(clock, hedge, 3)
    await clock.run(hedge.call(clock.sleep, 0))
    seen = hedge.snapshot()
    assert (seen.name, seen.after_seconds, seen.calls, seen.hedged, seen.won, seen.skipped) == ("prices", 1, 4, 2, 0, 1)
    assert seen.tokens == pytest.approx(0.03)


async def test_each_simulated_process_has_its_own(clock: VirtualClock) -> None:
    hedge = after(1)
    await calls(clock, hedge, 1)
    token = process_state.set(new_process(VirtualClock(), SeededRandomness(2)))
    assert (hedge.snapshot().calls, hedge.snapshot().tokens) == (0, 10)
    process_state.reset(token)
    assert hedge.snapshot().calls == 1
