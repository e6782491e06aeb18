"""The hunt: many seeds, every single fault, over all cores; then the shortest way to what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from insula.kernel.clock import SystemClock
from insula.modules import Assembly, System
from insula.runtime.configuration import Configuration
from insula.simulation.choices import Plan
from insula.simulation.coverage import Coverage
from insula.simulation.invariants import Invariant
from insula.simulation.regressions import save, saved_plans
from insula.simulation.shrink import NotTheSame, Shrinker
from insula.simulation.simulation import Outcome, Simulation, Stage, Topology, stage
from insula.simulation.sweep import pairs, single_faults
from insula.simulation.timeline import timeline
from insula.simulation.workers import Finding, spread
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


@dataclass
class Report:
    """What a hunt came to.

    Fields: `runs` and `seconds` in all; `failures`, the shortest failing run of each invariant, with the seed where it
    was found; `coverage`; `never`, the `sometimes` that were true in no run.
    """

    assembly: Assembly
    runs: int = 0
    seconds: float = 0.0
    failures: list[Outcome] = field(default_factory=list)
    failing_runs: int = 0
    coverage: Coverage = field(default_factory=Coverage)
    never: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was violated, and everything that should happen sometimes did."""
        return not self.failures and not self.never

    def __str__(self) -> str:
        rate = self.runs / self.seconds if self.seconds else 0.0
        verdict = "everything held" if self.holds else f"{self.failing_runs} failed"
        lines = [f"{self.runs:,} runs in {self.seconds:.1f} s ({rate:.0f} a second): {verdict}"]
        lines += [f"  {line}" for line in self.coverage.lines(self.assembly)]
        lines += [f"  sometimes: {name} in {count:,} runs" for name, count in sorted(self.coverage.seen.items())]
        lines += [f"  NEVER: {name}; the workload does not show it" for name in self.never]
        return "\n".join(lines + [timeline(each) for each in self.failures])


def explore(
    simulation: Simulation,
    *,
    seeds: int = SEEDS,
    first_seed: int = 0,
    every_single_fault: bool = True,
    sampled_pairs: int = 0,
    most_failures: int = 3,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run a simulation many times.

    Parameters: `seeds` and `first_seed`; `every_single_fault`, whether to try each fault at each effect boundary of the
    workload alone; `sampled_pairs`, how many pairs of faults to try; `most_failures`, after which the hunt ends;
    `workers` (default: one a core); `progress`, told after each run.
    """
    clock = SystemClock()
    started = clock.monotonic()
    with stage(simulation) as place:
        report = Report(place.assembly)
        report.coverage.handlers.update(place.reached_by_setup)
        hunt = _Hunt(place, report, most_failures, workers, progress)
        hunt.go("saved plans", [(plan.seed, plan) for plan in saved_plans()])
        if every_single_fault or sampled_pairs:
            hunt.go("single faults", _sweep(place, first_seed, every_single_fault, sampled_pairs))
        hunt.go("seeds", [(seed, None) for seed in range(first_seed, first_seed + seeds)])
        if not hunt.ended and report.runs > 1:
            wanted = [each.name for each in simulation.invariants if each.when == "sometimes"]
            report.never = [name for name in wanted if not report.coverage.seen[name]]
    report.seconds = clock.monotonic() - started
    return report


def _sweep(place: Stage, seed: int, singles: bool, sampled_pairs: int) -> list[Task]:
    bare = Plan(seed)
    offered = place.run(seed, bare).offered
    plans = [bare, *single_faults(bare, offered)] if singles else []
    plans += pairs(bare, offered, sampled_pairs, seed)
    return [(seed, plan) for plan in plans]


@dataclass
class _Hunt:
    place: Stage
    report: Report
    most_failures: int
    workers: int | None
    progress: Progress | None
    ended: bool = False

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
        outcome = self.place.run(*task)
        coverage.add(outcome)
        violation = outcome.violation
        return Finding(
            number, violation.invariant if violation else "", violation.detail if violation else "", outcome.digest
        )

    def _failed(self, task: Task, finding: Finding) -> None:
        """Find the shortest way to a violation that is not known yet."""
        if any(each.violation and each.violation.invariant == finding.invariant for each in self.report.failures):
            return
        failing = self.place.run(*task)
        if failing.digest != finding.digest:
            raise NotTheSame(
                f"seed {task[0]} went another way when it ran again: something in the system is not deterministic"
            )
        self.report.failures.append(Shrinker(self.place, failing).shrink())


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
    ports: Mapping[type, Callable[[], Any]] | None = None,
    refusals: Mapping[type, Sequence[Exception]] | None = None,
    faults: Mapping[str, float] | None = None,
    configuration: Configuration | None = None,
    dead_letters_allowed: bool = False,
    workers: int | None = None,
) -> Report:
    """Prove that a system survives, or raise with the shortest failing timeline.

    Parameters: as those of `Simulation`, which may be given instead of them, and of `explore`.
    Raises SimulationFailed.
    """
    simulation = system if isinstance(system, Simulation) else Simulation(
        system, workload, invariants, setup, topology, ports or {}, refusals or {}, faults or {},
        configuration or Configuration(), dead_letters_allowed,
    )  # fmt: skip
    report = explore(
        simulation, seeds=seeds, first_seed=first_seed, every_single_fault=every_single_fault, most_failures=1,
        workers=workers,
    )  # fmt: skip
    if report.failures:
        shortest = report.failures[0]
        saved = save(shortest.plan, shortest.violation.invariant if shortest.violation else "")
        note = f"\nsaved as {saved}; it is tried first from now on" if saved else ""
        raise SimulationFailed(f"{timeline(shortest)}{note}", shortest)
    if report.never:
        raise AssertionError(f"never true in {report.runs} runs: {', '.join(report.never)}\n{report}")
    return report
