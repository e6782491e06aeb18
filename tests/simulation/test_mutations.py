"""A framework that is broken on purpose: good invariants notice, weak ones do not, and nobody else ever sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from hello import GetPoints, OrderPlaced, PlaceOrder, loyalty, orders, placed, points, shop
from insula.simulation import Client, Plan, Simulation, Snapshot, always, eventually
from insula.simulation.hunting.mutations import MUTATIONS, Verdict, mutations_of, table, try_mutation, try_mutations
from insula.simulation.simulation import Stage
from support.journeys import CAPACITY, booked, journeys, plates, seats, taken, travellers, trips

BY_NAME = {each.name: each for each in MUTATIONS}


@always
def no_points_without_an_order(state: Snapshot) -> None:
    spent = state.scalar(orders, select(func.sum(placed.c.euros))) or 0
    assert (state.scalar(loyalty, select(func.sum(points.c.earned))) or 0) <= spent


@eventually
def points_match_orders(state: Snapshot) -> None:
    spent = state.scalar(orders, select(func.sum(placed.c.euros)))
    assert state.scalar(loyalty, select(func.sum(points.c.earned))) == spent


@eventually
def every_order_is_worth_something(state: Snapshot) -> None:
    assert all(row.euros > 0 for row in state.rows(orders, select(placed)))


HELLO = Simulation(
    shop,
    workload=[PlaceOrder(customer="ann", euros=40), PlaceOrder(customer="ann", euros=7)],
    invariants=[no_points_without_an_order, points_match_orders],
    dead_letters_allowed=True,
)


def seats_of(state: Snapshot) -> list[str]:
    return [row.trip for row in state.rows(seats, select(taken))]


def status_of(state: Snapshot) -> dict[str, str]:
    return {row.trip: row.status for row in state.rows(trips, select(booked))}


@always
def no_more_seats_than_there_are(state: Snapshot) -> None:
    assert len(seats_of(state)) <= CAPACITY


@always
def every_seat_has_a_trip(state: Snapshot) -> None:
    assert set(seats_of(state)) <= status_of(state).keys()


@eventually
def every_trip_ends(state: Snapshot) -> None:
    assert "open" not in status_of(state).values()


@eventually
def confirmed_trips_have_one_seat_each(state: Snapshot) -> None:
    confirmed = [trip for trip, status in status_of(state).items() if status == "confirmed"]
    assert sorted(seats_of(state)) == sorted(confirmed)


@eventually
def plates_show_the_last_name(state: Snapshot) -> None:
    names = {row.trip: row.name for row in state.rows(trips, select(booked).where(booked.c.name.is_not(None)))}
    assert {row.trip: row.name for row in state.rows(seats, select(plates))} == names


JOURNEYS = Simulation(
    journeys,
    workload=travellers,
    invariants=[
        no_more_seats_than_there_are,
        every_seat_has_a_trip,
        every_trip_ends,
        confirmed_trips_have_one_seat_each,
        plates_show_the_last_name,
    ],
    dead_letters_allowed=True,
)

EXPECTED = {
    "no inbox": "confirmed trips have one seat each",
    "no outbox": "every seat has a trip",
    "retries doubled": "confirmed trips have one seat each",
    "order ignored": "plates show the last name",
    "no retry": "every trip ends",
    "stale peeks": "no more seats than there are",
    "events dropped: SeatRefused": "every trip ends",
    "events dropped: SeatTaken": "every trip ends",
}
WITHOUT_FAULTS = {"retries doubled", "order ignored", "stale peeks", *(name for name in EXPECTED if "dropped" in name)}

OpenStage = Callable[[Simulation], Stage]


def test_every_mutation_is_noticed_where_something_depends_on_the_promise(open_stage: OpenStage) -> None:
    verdicts = try_mutations(open_stage(JOURNEYS), range(80))
    assert {each.mutation.name: each.invariant for each in verdicts} == EXPECTED
    assert {each.mutation.name for each in verdicts if "without faults" in each.how_soon} == WITHOUT_FAULTS


def test_a_system_of_two_modules_notices_what_it_depends_on(open_stage: OpenStage) -> None:
    verdicts = try_mutations(open_stage(HELLO), range(6))
    assert {each.mutation.name for each in verdicts if each.caught} == {"no inbox", "no outbox", "retries doubled"}


def test_a_weak_invariant_notices_nothing(open_stage: OpenStage) -> None:
    verdicts = try_mutations(open_stage(replace(HELLO, invariants=[every_order_is_worth_something])), range(3))
    assert [each.mutation for each in verdicts if each.caught] == []


def test_a_verdict_is_a_run_that_can_be_repeated(open_stage: OpenStage) -> None:
    stage = open_stage(JOURNEYS)
    verdict = try_mutation(stage, BY_NAME["no retry"], range(10))
    violation = stage.run(verdict.seed, verdict.plan, verdict.mutation).violation
    assert violation is not None
    assert (violation.invariant, violation.detail) == (verdict.invariant, verdict.detail)


def test_a_single_fault_is_enough_to_notice(open_stage: OpenStage) -> None:
    verdict = try_mutation(open_stage(HELLO), BY_NAME["no inbox"], range(1), every_single_fault=True)
    assert verdict.invariant == "no points without an order"
    fault = "loyalty: commit of loyalty.earn[1]: the commit is stored, but reported as failed"
    assert verdict.how_soon == f"seed 0, only: {fault}"


@pytest.mark.parametrize("simulation", [HELLO, JOURNEYS], ids=["hello", "journeys"])
def test_a_run_after_a_mutated_one_is_as_it_was_before(open_stage: OpenStage, simulation: Simulation) -> None:
    stage = open_stage(simulation)
    runs = [(3, None), (4, None), (3, Plan(3))]
    before = [stage.run(*each).digest for each in runs]
    for mutation in mutations_of(stage):
        stage.run(3, None, mutation)
        assert [stage.run(*each).digest for each in runs] == before, mutation.name


def test_a_mutated_run_repeats_itself(open_stage: OpenStage) -> None:
    stage = open_stage(JOURNEYS)
    for mutation in MUTATIONS:
        assert stage.run(5, None, mutation).digest == stage.run(5, None, mutation).digest, mutation.name


def test_an_error_that_is_there_without_the_mutation_says_nothing_about_it(open_stage: OpenStage) -> None:
    nobody_orders = always(lambda state: not state.events(OrderPlaced))
    broken_anyway = replace(HELLO, invariants=[nobody_orders])
    assert not try_mutation(open_stage(broken_anyway), BY_NAME["retries doubled"], range(3)).caught


def test_a_workload_that_checks_its_answers_notices_too(open_stage: OpenStage) -> None:
    async def counting(client: Client) -> None:
        await client.call(PlaceOrder(customer="ann", euros=40))
        await client.sleep(5)
        if await client.call(GetPoints(customer="ann")) != 40:
            raise ValueError("ann has other points")

    verdict = try_mutation(
        open_stage(replace(HELLO, workload=counting, invariants=[])), BY_NAME["retries doubled"], range(1)
    )
    assert verdict.invariant == "the workload goes to its end"
    assert verdict.detail.startswith("ValueError: ann has other points")


def test_the_table_tells_who_noticed_and_how_soon() -> None:
    verdicts = [
        Verdict(BY_NAME["no inbox"], 200, "points match orders", seed=3),
        Verdict(BY_NAME["no retry"], 200, "every trip ends", seed=4, plan=Plan(4)),
        Verdict(BY_NAME["order ignored"], 200),
    ]
    assert table(verdicts).splitlines() == [
        "mutation       caught by            how soon",
        "no inbox       points match orders  seed 3",
        "no retry       every trip ends      seed 4, without faults",
        "order ignored  – not noticed        in 200 seeds",
        '"Not noticed" means: your invariants or workload do not depend on it, or they would miss it in production.',
    ]
    assert "Not noticed" not in table(verdicts[:2])
