"""The gallery: bugs that people really make, each planted in a small system, found, made small and replayed.

`make gallery` runs the correct versions with 2,000 seeds each instead of 15 (SEEDS).
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path
from typing import Any

import pytest

from insula.simulation import Outcome, Plan, explore
from insula.simulation.simulation import stage

SEEDS = int(os.environ.get("SEEDS", "15"))
SEEDS_TO_FIND_IT = 300
FAULTS, OPERATIONS = 3, 2
OFTEN_FOUND_BY_SEED = ("charge_without_key", "last_write_by_clock", "lost_update", "no_inbox", "release_overtakes")

EXHIBITS = [
    importlib.import_module(f"simulation.gallery.{file.name}")
    for file in pkgutil.iter_modules([str(Path(__file__).with_name("gallery"))])
    if file.name != "planting"
]
each_bug = pytest.mark.parametrize("exhibit", EXHIBITS, ids=[each.__name__.rpartition(".")[2] for each in EXHIBITS])


@each_bug
def test_the_bug_is_found_made_small_and_replayed_exactly(exhibit: Any) -> None:
    failure = found_in(exhibit)
    assert_it_is_small(failure)
    assert_its_plan_replays_exactly(exhibit, failure)
    assert_the_correct_version_survives(exhibit, failure.plan)


@pytest.mark.parametrize("name", OFTEN_FOUND_BY_SEED)
def test_a_run_full_of_faults_is_made_as_small(name: str) -> None:
    exhibit = next(each for each in EXHIBITS if each.__name__.endswith(f".{name}"))
    assert_it_is_small(found_in(exhibit, every_single_fault=False))


@each_bug
def test_without_the_bug_everything_holds(exhibit: Any) -> None:
    report = explore(exhibit.build(broken=False), seeds=SEEDS, most_failures=1, workers=1)
    assert report.holds, str(report)
    assert report.runs > SEEDS


@each_bug
def test_the_bug_is_described_with_its_cure(exhibit: Any) -> None:
    for part in ("The bug:", "In the wild:", "The cure:"):
        assert f"\n{part} " in exhibit.__doc__


def found_in(exhibit: Any, *, every_single_fault: bool = True) -> Outcome:
    """The shortest failing run, which fails as the exhibit says."""
    report = explore(
        exhibit.build(broken=True), seeds=SEEDS_TO_FIND_IT, every_single_fault=every_single_fault, most_failures=1,
        workers=1,
    )  # fmt: skip
    (failure,) = report.failures
    assert failure.violation is not None
    assert failure.violation.invariant == exhibit.INVARIANT
    return failure


def assert_it_is_small(failure: Outcome) -> None:
    """Few enough faults and operations to be understood at a glance."""
    assert len(failure.plan.faults) <= FAULTS, failure.plan.faults
    assert len(set(failure.operations) - failure.plan.dropped) <= OPERATIONS, failure.operations


def assert_its_plan_replays_exactly(exhibit: Any, failure: Outcome) -> None:
    """Twice, on a stage of its own, from the plan's JSON."""
    plan = Plan.from_json(failure.plan.to_json())
    with stage(exhibit.build(broken=True)) as place:
        assert [place.run(plan.seed, plan).digest for _ in range(2)] == [failure.digest] * 2


def assert_the_correct_version_survives(exhibit: Any, plan: Plan) -> None:
    """It is the bug that fails, not the few operations that are left."""
    with stage(exhibit.build(broken=False)) as place:
        assert place.run(plan.seed, plan).violation is None
