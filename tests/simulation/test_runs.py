"""One run: the same for the same seed, different for another, and its plan replays it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from insula.simulation import ModuleSnapshot, Plan, Simulation, invariant
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
