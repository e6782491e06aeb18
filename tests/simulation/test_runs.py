"""One run: the same for the same seed, different for another, and its plan replays it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from hello import PlaceOrder
from insula import Command, Module, System
from insula.simulation import Client, ModuleSnapshot, Plan, Simulation, invariant
from insula.simulation.simulation import Stage
from support.hello_simulation import HELLO


def test_no_seed_loses_a_point(open_stage: Callable[[Simulation], Stage]) -> None:
    stage = open_stage(HELLO)
    outcomes = [stage.run(seed) for seed in range(40)]
    assert [str(each.violation) for each in outcomes if each.violation] == []
    assert all("an order is placed" in each.seen for each in outcomes)
    assert len({each.digest for each in outcomes}) == 40


@pytest.mark.parametrize("seed", [3, 4])
def test_a_plan_replays_the_run_of_its_seed_exactly(open_stage: Callable[[Simulation], Stage], seed: int) -> None:
    stage = open_stage(HELLO)
    first = stage.run(seed)
    again = stage.run(seed, Plan.from_json(first.plan.to_json()))
    assert again.story == first.story
    assert again.digest == first.digest


def test_without_choices_nothing_goes_wrong(open_stage: Callable[[Simulation], Stage]) -> None:
    outcome = open_stage(HELLO).run(1, Plan(1))
    assert outcome.violation is None
    assert outcome.plan.choices == {}
    assert {each.kind for each in outcome.story} == {"call", "commit", "answered", "rejected", "deliver", "heal"}
    assert len(outcome.offered) > 50


@invariant(after_commit="orders")
def an_invariant_with_a_mistake(database: ModuleSnapshot) -> None:
    raise LookupError("no such thing")


def test_a_mistake_in_an_invariant_is_a_violation_with_its_place(open_stage: Callable[[Simulation], Stage]) -> None:
    outcome = open_stage(Simulation(HELLO.system, HELLO.workload, [an_invariant_with_a_mistake])).run(1, Plan(1))
    assert "LookupError: no such thing" in str(outcome.violation)
    assert "test_runs.py:" in str(outcome.violation)


def test_a_mistake_in_the_workload_is_a_violation_with_its_place(open_stage: Callable[[Simulation], Stage]) -> None:
    async def wrong(client: Client) -> None:
        await client.call(PlaceOrder(customer="ann", euros=40))
        raise LookupError("no such user")

    outcome = open_stage(Simulation(HELLO.system, wrong)).run(1, Plan(1))
    assert "the workload goes to its end: LookupError: no such user" in str(outcome.violation)


class Rates(Protocol):
    async def __call__(self, euros: int) -> int: ...


class Bank:
    """Keeps what it was asked for, outside every process."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def __call__(self, euros: int) -> int:
        self.asked.append(euros)
        return 2 * euros


class TooMuch(Exception):
    """The bank says no."""


class Exchange(Command[int]):
    euros: int


def test_who_has_said_yes_to_a_request_outside_does_not_say_no_to_its_repetition(
    open_stage: Callable[[Simulation], Stage],
) -> None:
    desk = Module("desk")
    desk.bind(Rates, Bank)

    @desk.handle(Exchange)
    async def exchange(command: Exchange, rates: Rates) -> int:
        return await rates(command.euros)

    simulation = Simulation(
        System("bank", desk),
        [Exchange(euros=3)],
        ports={Rates: Bank},
        refusals={Rates: [TooMuch()]},
        topology="together",
    )
    failing = ("failing-dependency", "bank calls Rates.__call__")
    outcome = open_stage(simulation).run(1, Plan(1, {failing: "after"}))
    assert outcome.violation is None
    assert [each.what for each in outcome.story if each.kind == "failing-dependency"]
    assert [key for lane, key in outcome.offered if lane == "rejecting-dependency"] == ["bank calls Rates.__call__"]
