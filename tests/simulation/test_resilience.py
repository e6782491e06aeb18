"""Policies inside a simulated process: its clock, its chance, its state, and the same run for the same seed."""

from __future__ import annotations

from collections.abc import Callable

from insula import Clock, Module, Query, System
from insula.kernel import clock_of_process, may_start_threads
from insula.resilience import CircuitBreaker, ConstantBackoff, ResiliencePipeline, Retry, TimedOut, Timeout
from insula.simulation import Client, Plan, Simulation
from insula.simulation.simulation import Stage

shop = Module("shop")
seen: list[object] = []
breaker = CircuitBreaker(failure_threshold=2)
payments = ResiliencePipeline(
    Timeout(5), Retry(on=TimeoutError, backoff=ConstantBackoff(1.0, jitter_seconds=1.0)), breaker, Timeout(1)
)


class Charge(Query[str]):
    takes: float


class LookUp(Query[str]):
    pass


@shop.handle(Charge)
async def charge(query: Charge, clock: Clock) -> str:
    began, attempts = clock.monotonic(), 0

    @payments
    async def call() -> str:
        nonlocal attempts
        attempts += 1
        await clock.sleep(query.takes if attempts < 2 else 0)
        return "paid"

    try:
        answer = await call()
    except TimedOut:
        answer = "too late"
    seen.append((clock is clock_of_process(), may_start_threads(), round(clock.monotonic() - began, 6), answer))
    return answer


@shop.handle(LookUp)
def look_up(query: LookUp, clock: Clock) -> str:
    began = clock.monotonic()
    attempts = iter((ConnectionError(), ConnectionError(), None))

    @Retry(on=ConnectionError, backoff=ConstantBackoff(2.0))
    def call() -> str:
        error = next(attempts)
        if error is not None:
            raise error
        return "found"

    answer = call()
    seen.append(clock.monotonic() - began)
    return answer


async def buy(client: Client) -> None:
    await client.call(Charge(takes=0.0))
    await client.call(Charge(takes=30.0))
    await client.call(LookUp())


def test_policies_run_in_the_time_of_the_simulation(open_stage: Callable[[Simulation], Stage]) -> None:
    stage = open_stage(Simulation(System("shop", shop), buy))
    told = []
    for _ in range(2):
        seen.clear()
        outcome = stage.run(7, Plan(7))
        assert outcome.violation is None
        told.append(list(seen))
    quick, slow, blocked = told[0]
    assert quick == (True, False, 0.0, "paid")
    assert slow[:2] + slow[3:] == (True, False, "paid")
    assert 2 < slow[2] < 3
    assert blocked == 4.0
    assert told[0] == told[1]
    assert breaker.circuits.own.snapshot().failures == 0
