"""The hunt: many seeds, every single fault, over all cores; then the shortest way to what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError
from insula.modules import System
from insula.runtime.configuration import Configuration
from insula.simulation.choices import Plan
from insula.simulation.guards.answering import answer_parent
from insula.simulation.guards.audit import Audit
from insula.simulation.guards.hash_seeds import Child, child_of_test
from insula.simulation.guards.hash_seeds import cross_check as compare_interpreters
from insula.simulation.guards.leaks import Leaks
from insula.simulation.hunting.coverage import Coverage
from insula.simulation.hunting.regressions import save, saved_plans
from insula.simulation.hunting.report import Report
from insula.simulation.hunting.shrink import NotTheSame, Shrinker
from insula.simulation.hunting.sweep import pairs, single_faults
from insula.simulation.hunting.workers import Finding, spread
from insula.simulation.invariants import Invariant
from insula.simulation.mistakes import check_nothing_beside
from insula.simulation.simulation import Outcome, Simulation, Stage, Topology, stage
from insula.simulation.telling.timeline import timeline
from insula.simulation.workload import Workload

SEEDS = 100
Progress = Callable[[str, int, int, int], None]
"""Called with what is done, how many runs are done, of how many, and how many have failed."""

Task = tuple[int, Plan | None]


class SimulationFailed(AssertionError):
    """An invariant was violated; the text is the shortest failing timeline. `outcome` is that run."""

    def __init__(self, text: str, outcome: Outcome) -> None:
        super().__init__(text)
        self.outcome = outcome


def explore(
    simulation: Simulation,
    *,
    seeds: int = SEEDS,
    first_seed: int = 0,
    every_single_fault: bool = True,
    sampled_pairs: int = 0,
    most_failures: int = 3,
    workers: int | None = None,
    cross_check: bool = True,
    child: Child | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run a simulation many times.

    Parameters: `seeds` and `first_seed`; `every_single_fault`, whether to try each fault at each effect boundary of the
    workload alone; `sampled_pairs`, how many pairs of faults to try; `most_failures`, after which the hunt ends;
    `workers` (default: one a core); `cross_check`, whether two other interpreters, which hash texts otherwise, repeat
    the first seed and those that failed (default True, some seconds); `child`, how to start them (default: as the
    running pytest test); `progress`, told after each run.
    Raises ConfigurationError inside a running event loop, and for numbers that leave nothing to do.
    """
    _check_place(workers)
    if answer_parent(simulation):
        raise SystemExit(0)
    saved = saved_plans()
    if seeds < 1 and not every_single_fault and sampled_pairs < 1 and not saved:
        raise ConfigurationError(
            f"seeds={seeds}, every_single_fault=False and sampled_pairs={sampled_pairs}: there is nothing to run, and "
            "so nothing would be proved; give seeds or every_single_fault=True"
        )
    started = _now()
    with ExitStack() as opened:
        with Leaks() as leaks:
            place = opened.enter_context(stage(simulation))
            with Audit() as audit:
                first = place.run(first_seed)
        _check_asks(place, first)
        report = Report(place.assembly, unrepeatable=[str(each) for each in audit.findings])
        report.leaks = [str(each) for each in leaks.findings]
        report.coverage.handlers.update(place.reached_by_setup)
        hunt = Hunt(place, report, most_failures, workers, progress)
        hunt.go("saved plans", [(plan.seed, plan) for plan in saved])
        if every_single_fault or sampled_pairs:
            hunt.go("single faults", _sweep(place, first_seed, every_single_fault, sampled_pairs))
        hunt.go("seeds", [(seed, None) for seed in range(first_seed, first_seed + seeds)])
        if not hunt.ended and report.runs > 1:
            wanted = [each.name for each in simulation.invariants if each.when == "sometimes"]
            report.never = [name for name in wanted if not report.coverage.seen[name]]
    if cross_check:
        _ask_others(report, child or child_of_test(), [first_seed, *hunt.failing_seeds])
    report.seconds = _now() - started
    return report


def _check_place(workers: int | None) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigurationError(
            "a simulation brings an event loop of its own and cannot run inside another; call simulate or explore from "
            "a plain `def` test, not from an `async def`"
        )
    if workers is not None and workers < 1:
        raise ConfigurationError(f"workers={workers}: at least one is needed; None takes one a core")


def _check_asks(place: Stage, first: Outcome) -> None:
    """Whether the workload does something, at the latest when nothing hinders it."""
    if not place.simulation.workload or not first.idle:
        return
    bare = place.run(first.seed, Plan(first.seed))
    if bare.idle and bare.violation is None:
        name = getattr(place.simulation.workload, "__name__", "workload")
        raise ConfigurationError(
            f"workload={name}: the workload asked for nothing, and so nothing would be proved; is an `await` missing "
            "before client.call(...)? One that only lets time pass says so by `await client.sleep(...)`"
        )


def _ask_others(report: Report, child: Child | None, seeds: Sequence[int]) -> None:
    check = compare_interpreters(child, list(dict.fromkeys(seeds)))
    report.unchecked = check.skipped
    if check.difference is not None:
        report.unrepeatable.append(str(check.difference))


def _sweep(place: Stage, seed: int, singles: bool, sampled_pairs: int) -> list[Task]:
    bare = Plan(seed)
    offered = place.run(seed, bare).offered
    plans = [bare, *single_faults(bare, offered)] if singles else []
    plans += pairs(bare, offered, sampled_pairs, seed)
    return [(seed, plan) for plan in plans]


@dataclass
class Hunt:
    """The part of a hunt that goes over all cores, and the shrinking of what it finds."""

    place: Stage
    report: Report
    most_failures: int
    workers: int | None
    progress: Progress | None
    ended: bool = False
    failing_seeds: list[int] = field(default_factory=list)

    def go(self, what: str, tasks: Sequence[Task]) -> None:
        """Run tasks until they are done, or enough has failed."""
        if self.ended or not tasks:
            return
        findings = spread(tasks, self._run, self.report.coverage, self.workers)
        try:
            for done, finding in enumerate(findings, 1):
                self.report.runs += 1
                if finding.invariant:
                    self.report.failing_runs += 1
                    self._failed(tasks[finding.number], finding)
                if self.progress is not None:
                    self.progress(what, done, len(tasks), self.report.failing_runs)
                if len(self.report.failures) >= self.most_failures:
                    self.ended = True
                    return
        finally:
            _close(findings)

    def _run(self, number: int, task: Task, coverage: Coverage) -> Finding:
        try:
            outcome = self.place.run(*task)
        except Exception as error:
            error.add_note(f"in the run of seed {task[0]}")
            raise
        coverage.add(outcome)
        violation = outcome.violation
        return Finding(
            number, violation.invariant if violation else "", violation.detail if violation else "", outcome.digest
        )

    def _failed(self, task: Task, finding: Finding) -> None:
        """Find the shortest way to a violation that is not known yet."""
        if any(each.violation and each.violation.invariant == finding.invariant for each in self.report.failures):
            return
        self.failing_seeds.append(task[0])
        failing = self.place.run(*task)
        try:
            if failing.digest != finding.digest:
                raise NotTheSame(f"seed {task[0]} went another way when it ran again")
            failing = Shrinker(self.place, failing).shrink()
        except NotTheSame as error:
            self.report.unrepeatable.append(str(error))
        if failing.violation is not None:
            self.report.failures.append(failing)


def _close(findings: Iterator[Finding]) -> None:
    close = getattr(findings, "close", None)
    if close is not None:
        close()


def simulate(
    system: System | Simulation,
    workload: Workload = (),
    invariants: Sequence[Invariant] = (),
    *,
    setup: Workload = (),
    seeds: int = SEEDS,
    first_seed: int = 0,
    every_single_fault: bool = True,
    topology: Topology = "apart",
    replicas: Mapping[str, int] | None = None,
    ports: Mapping[type, Callable[[], Any]] | None = None,
    refusals: Mapping[type, Sequence[Exception]] | None = None,
    faults: Mapping[str, float] | None = None,
    configuration: Configuration | None = None,
    dead_letters_allowed: bool = False,
    workers: int | None = None,
    cross_check: bool = True,
) -> Report:
    """Prove that a system survives, or raise with the shortest failing timeline.

    Parameters: as those of `Simulation`, which may be given instead of them, and of `explore`.
    Raises SimulationFailed, and ConfigurationError for a `Simulation` with parameters of one beside it.
    """
    if isinstance(system, Simulation):
        check_nothing_beside(
            workload=workload, invariants=invariants, setup=setup, topology=topology != "apart", replicas=replicas,
            ports=ports, refusals=refusals, faults=faults, configuration=configuration,
            dead_letters_allowed=dead_letters_allowed,
        )  # fmt: skip
        simulation = system
    else:
        simulation = Simulation(
            system, workload, invariants, setup, topology, ports or {}, refusals or {}, faults or {},
            configuration or Configuration(), dead_letters_allowed, replicas or {},
        )  # fmt: skip
    report = explore(
        simulation, seeds=seeds, first_seed=first_seed, every_single_fault=every_single_fault, most_failures=1,
        workers=workers, cross_check=cross_check,
    )  # fmt: skip
    if report.failures:
        shortest = report.failures[0]
        saved = save(shortest.plan, shortest.violation.invariant if shortest.violation else "")
        kept = f"\nsaved as {saved}; it is tried first from now on" if saved else ""
        raise SimulationFailed(f"{timeline(shortest)}{kept}\n{report.summary}", shortest)
    if not report.holds:
        raise AssertionError(str(report))
    return report


_now = SystemClock().monotonic
