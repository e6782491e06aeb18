"""The hunt: finds what goes wrong, makes it small, keeps its plan, and says what it has reached."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import MetaData

from insula import Module, System, UnitOfWork
from insula.kernel.errors import ConfigurationError
from insula.simulation import Simulation, SimulationFailed, explore, simulate
from insula.simulation.guards.answering import CURRENT_TEST
from insula.simulation.hunting.regressions import plans_folder, saved_plans
from support.hello_simulation import HELLO
from support.race import FIVE_PAYMENTS, Pay, race, the_balance_is_what_was_paid

RACE = Simulation(race, FIVE_PAYMENTS, [the_balance_is_what_was_paid])


def test_a_violation_is_shrunk_to_few_faults_and_two_operations() -> None:
    report = explore(RACE, seeds=100, every_single_fault=False, most_failures=1, cross_check=False)
    (failure,) = report.failures
    assert failure.violation is not None
    assert failure.violation.invariant == "the balance is what was paid"
    assert len(failure.plan.faults) <= 3
    assert len(set(failure.operations) - failure.plan.dropped) <= 2


def test_simulate_raises_with_the_shortest_timeline_and_keeps_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = plans_folder.set(tmp_path)
    try:
        with pytest.raises(SimulationFailed, match="the balance is what was paid") as failed:
            simulate(RACE, seeds=100, every_single_fault=False, cross_check=False)
        (plan,) = saved_plans()
        assert plan == failed.value.outcome.plan
        monkeypatch.setenv(CURRENT_TEST, "the same, the next time (call)")
        with pytest.raises(SimulationFailed):
            simulate(RACE, seeds=0, every_single_fault=False, cross_check=False)
    finally:
        plans_folder.reset(token)


def test_each_simulation_of_a_test_keeps_its_plans_apart(tmp_path: Path) -> None:
    token = plans_folder.set(tmp_path / "test")
    try:
        for _ in range(2):
            with pytest.raises(SimulationFailed) as failed:
                simulate(RACE, seeds=100, every_single_fault=False, cross_check=False)
            assert saved_plans() == [failed.value.outcome.plan]
    finally:
        plans_folder.reset(token)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["test", "test.2"]


@pytest.mark.parametrize("content", [b"<<<<<<< ours\n", b"{}", b"\xff"])
def test_a_broken_plan_names_its_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "lost.json"
    file.write_bytes(content)
    token = plans_folder.set(tmp_path)
    try:
        with pytest.raises(ConfigurationError, match=r"lost\.json is no saved plan.*delete it or resolve"):
            explore(RACE)
    finally:
        plans_folder.reset(token)


def test_each_fault_at_each_boundary_is_tried() -> None:
    report = explore(HELLO, seeds=0, cross_check=False)
    assert report.holds, str(report)
    assert report.runs > 70
    assert {"crash", "loss", "duplicate", "reset-after", "abort", "unknown-outcome"} <= set(report.coverage.struck)
    assert report.coverage.missed(report.assembly) == []


def test_what_should_happen_sometimes_and_never_does_is_a_failure() -> None:
    never = Simulation(HELLO.system, HELLO.workload[:1], HELLO.invariants)  # type: ignore[index]
    with pytest.raises(AssertionError, match="an order is placed"):
        simulate(never, seeds=5, every_single_fault=False, cross_check=False)


def test_runs_are_the_same_on_one_core_and_on_two() -> None:
    alone, together = (
        explore(HELLO, seeds=12, every_single_fault=False, workers=count, cross_check=False) for count in (1, 2)
    )
    assert alone.coverage.struck == together.coverage.struck
    assert alone.coverage.handlers == together.coverage.handlers


def test_what_no_replay_can_repeat_is_named_and_is_a_failure() -> None:
    hasty = Module("hasty", tables=MetaData())

    @hasty.handle(Pay)
    async def pay(command: Pay, work: UnitOfWork) -> None:
        await work.execute("create table if not exists seen (id text)")
        await work.execute("insert into seen values (:id)", {"id": str(uuid4())})

    report = explore(Simulation(System("hasty", hasty), FIVE_PAYMENTS[:1]), seeds=1, cross_check=False)
    (found,) = report.unrepeatable
    assert "test_hunt.py" in found
    assert "uuid.uuid4" in found
    assert not report.holds
