"""Services with replicas: one of them moves messages, both answer, and none is in the other's way when it is late."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, update

from hello import orders
from insula import Command, Module, System, UnitOfWork
from insula.runtime.tenure import LEASE_SECONDS
from insula.simulation import Plan, Simulation, Snapshot, eventually, simulate
from insula.simulation.machine.ground import Happening
from insula.simulation.simulation import Outcome, Stage
from shop.simulation import survival
from support.hello_simulation import HELLO

SEEDS, PARTS = 300, 2  # in parts, so that the tests' workers share them
OpenStage = Callable[[Simulation], Stage]

REPLICATED = dataclasses.replace(HELLO, replicas={"orders": 2, "loyalty": 2})
SHOP = dataclasses.replace(survival, replicas={"orders": 2, "billing": 2})

EVERY_SERVICE = dataclasses.replace(survival, replicas={module.name: 2 for module in survival.system.modules})


@pytest.mark.parametrize("part", range(PARTS))
def test_the_shops_books_balance_with_two_of_each(part: int) -> None:
    seeds = SEEDS // PARTS
    simulate(SHOP, seeds=seeds, first_seed=part * seeds, every_single_fault=False, cross_check=False, workers=1)


def test_what_a_hunt_found_where_every_service_has_two_stays_mended() -> None:
    report = simulate(EVERY_SERVICE, seeds=0, every_single_fault=False, cross_check=False, workers=1)
    assert report.runs == 1


def test_no_single_fault_loses_a_point_between_replicas() -> None:
    report = simulate(REPLICATED, seeds=1)
    assert report.leaks == []
    assert report.unchecked is None
    assert any("lease" in each for each in report.coverage.crashes)


def test_a_plan_replays_a_run_with_replicas_exactly(open_stage: OpenStage) -> None:
    stage = open_stage(REPLICATED)
    first = stage.run(7)
    again = stage.run(7, Plan.from_json(first.plan.to_json()))
    assert (again.digest, again.story) == (first.digest, first.story)


def lines(outcome: Outcome, kind: str, text: str = "") -> list[Happening]:
    return [each for each in outcome.story if each.kind == kind and text in each.what]


def movers(outcome: Outcome) -> list[str]:
    """Who delivered to loyalty, in the order in which they began."""
    return list(dict.fromkeys(each.where for each in lines(outcome, "deliver", "orders → loyalty")))


def test_one_of_them_moves_messages_and_any_of_them_answers(open_stage: OpenStage) -> None:
    stage = open_stage(REPLICATED)
    outcomes = [stage.run(seed, Plan(seed)) for seed in range(5)]
    assert [len(movers(each)) for each in outcomes] == [1] * 5
    assert {call.services[0] for each in outcomes for call in lines(each, "call")} == {"orders-1", "orders-2"}


def first_delivery_struck(stage: Stage, lane: str, seconds: float) -> Outcome:
    """A run in which something happens to the process of the first delivery, just before it."""
    bare = stage.run(1, Plan(1))
    chosen = next(choice for choice in bare.offered if choice[0] == lane and "before orders → loyalty" in choice[1])
    return stage.run(1, Plan(1, {chosen: seconds}))


@pytest.mark.parametrize("lane", ["pause", "crash"])
def test_another_one_takes_over_from_who_is_away_for_longer_than_its_lease(open_stage: OpenStage, lane: str) -> None:
    outcome = first_delivery_struck(open_stage(REPLICATED), lane, 3 * LEASE_SECONDS)
    first, second = movers(outcome)
    assert {first, second} == {"loyalty-1", "loyalty-2"}
    struck = lines(outcome, lane)[0].at
    taken_over = next(each.at for each in lines(outcome, "deliver") if each.where == second)
    assert taken_over - struck < LEASE_SECONDS + 2
    assert outcome.violation is None


def test_nobody_takes_over_from_who_is_back_in_time(open_stage: OpenStage) -> None:
    outcome = first_delivery_struck(open_stage(REPLICATED), "pause", LEASE_SECONDS / 2)
    assert len(movers(outcome)) == 1


def test_who_cannot_reach_the_database_leaves_the_messages_to_one_that_can(open_stage: OpenStage) -> None:
    stage = open_stage(REPLICATED)
    bare = stage.run(1, Plan(1))
    (holder,) = movers(bare)
    cut = next(
        each for each in bare.offered if each[0] == "partition" and f"database of loyalty and {holder}" in each[1]
    )
    outcome = stage.run(1, Plan(1, {cut: 3 * LEASE_SECONDS}))
    assert outcome.violation is None
    assert movers(outcome) != [holder]


COUNTER_TABLES = MetaData()
counter = Table("counter", COUNTER_TABLES, Column("value", Integer))


class Count(Command[None]):
    pass


async def count(command: Count, work: UnitOfWork) -> None:
    rows = await work.peek(select(counter.c.value))
    if not rows:
        await work.execute(insert(counter).values(value=1))
        return
    await work.execute(update(counter).values(value=rows[0].value + 1))


@eventually
def nothing_counted_is_lost(state: Snapshot) -> None:
    assert state.scalar("till", select(counter.c.value)) == 12


def test_what_one_has_peeked_at_is_read_again_since_others_write_too() -> None:
    till = Module("till", tables=COUNTER_TABLES)
    till.handle(Count)(count)
    counting = Simulation(
        System("counting", till), [Count() for _ in range(12)], [nothing_counted_is_lost], replicas={"till": 3}
    )
    simulate(counting, seeds=40, every_single_fault=False, cross_check=False, workers=1)


def test_replicas_of_a_process_with_several_modules_share_all_their_databases(open_stage: OpenStage) -> None:
    together = dataclasses.replace(HELLO, topology="together", replicas={HELLO.system.name: 2})
    stage = open_stage(together)
    outcomes = [stage.run(seed) for seed in range(20)]
    assert [str(each.violation) for each in outcomes if each.violation] == []
    assert outcomes[0].services == [f"{HELLO.system.name}-1", f"{HELLO.system.name}-2"]


def test_one_replica_is_a_process_like_any_other(open_stage: OpenStage) -> None:
    alone = dataclasses.replace(HELLO, replicas={orders.name: 1})
    assert open_stage(alone).run(3).digest == open_stage(HELLO).run(3).digest
