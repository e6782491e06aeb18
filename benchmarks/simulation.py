"""The simulator: seeds a second on one core, and how long every single fault of one order takes.

`shop` is the reference system in seven processes, three customers ordering at once under all kinds of fault, its books
audited at the end; `three modules` is a choreography of three that answer each other's events. The sweep tries each
fault at each effect boundary of one order of the shop, on every core. There is no floor and no peer: nobody else
simulates transactions and messages.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from itertools import count

from benchmarks.harness import Case, Contender, Sample, Settings, run
from benchmarks.three_modules import three_modules
from insula.simulation import Client, Simulation, explore
from insula.simulation.simulation import stage
from shop.kernel import CustomerId
from shop.orders.contract import Line, PlaceOrder
from shop.simulation import TEA, survival

Opener = Callable[[Settings], AbstractAsyncContextManager[Sample]]


def seeds_a_second(simulation: Simulation) -> Opener:
    """Run one seed after the other, each its own run from start to rest."""

    @asynccontextmanager
    async def open_stage(settings: Settings) -> AsyncIterator[Sample]:
        numbers = count()
        with ExitStack() as opened:  # on a thread, as all of it: this one has a loop that runs
            place = await asyncio.to_thread(opened.enter_context, stage(simulation))

            async def sample() -> float:
                return await asyncio.to_thread(timed, place.run, numbers, settings.seconds)

            yield sample

    return open_stage


def timed(one: Callable[[int], object], numbers: count[int], seconds: float) -> float:
    """How many runs a second."""
    started, done = time.perf_counter(), 0
    while time.perf_counter() < started + seconds:
        one(next(numbers))
        done += 1
    return done / (time.perf_counter() - started)


async def one_order(client: Client) -> None:
    """Two teas for Ann."""
    await client.call(PlaceOrder(customer_id=CustomerId("ANN"), lines=(Line(product_id=TEA, quantity=2),)))


@asynccontextmanager
async def sweeping(settings: Settings) -> AsyncIterator[Sample]:
    simulation = dataclasses.replace(survival, workload=one_order, invariants=survival.invariants[:2])

    async def sample() -> float:
        report = await asyncio.to_thread(explore, simulation, seeds=0, cross_check=False)
        assert report.holds, str(report)
        return report.seconds

    yield sample


CASES = (
    Case(
        name="shop, one core",
        unit="seeds/s",
        better="higher",
        ours=Contender("Insula", seeds_a_second(survival)),
        target="≥ 25",
    ),
    Case(
        name="three modules, one core",
        unit="seeds/s",
        better="higher",
        ours=Contender("Insula", seeds_a_second(three_modules)),
        target="≥ 100",
    ),
    Case(
        name="every single fault of one order",
        unit="s",
        better="lower",
        ours=Contender("Insula", sweeping),
        target="≤ 5",
    ),
)

if __name__ == "__main__":
    run((__doc__ or "").partition("\n\n")[0], CASES, quick_rounds=1)
