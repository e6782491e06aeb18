"""`insula simulate`: hunt for what breaks a system, replay it, and see whether its tests would notice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from insula.cli.output import FAILED, explained, print_json
from insula.cli.target import find
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError
from insula.simulation.choices import Plan
from insula.simulation.guards.hash_seeds import child_of_target
from insula.simulation.hunting.explore import SEEDS, explore
from insula.simulation.hunting.mutations import mutations_of, table, try_mutation
from insula.simulation.hunting.report import Report
from insula.simulation.hunting.shrink import Shrinker
from insula.simulation.simulation import Outcome, Simulation, stage
from insula.simulation.telling.page import page
from insula.simulation.telling.timeline import timeline


class _HuntByDefault(TyperGroup):
    """`insula simulate TARGET` is `insula simulate hunt TARGET`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["hunt", *args]
        return super().parse_args(ctx, args)


simulate = typer.Typer(
    cls=_HuntByDefault,
    no_args_is_help=True,
    help="Hunt for what breaks a system, in virtual time. `insula simulate TARGET` hunts.",
    epilog="Example: insula simulate shop.simulation:survival --seeds 1000",
)

Target = Annotated[str, typer.Argument(help="A Simulation, like shop.simulation:survival.")]
Seeds = Annotated[int, typer.Option(min=0, help="How many seeds to try.")]
FirstSeed = Annotated[int, typer.Option(min=0, help="The first of them.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes. Default: one a core.")]
Pairs = Annotated[int, typer.Option(min=0, help="How many pairs of single faults to try besides.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write the (first) failing run as a page to this file.")]
Save = Annotated[Path | None, typer.Option("--save", help="Write its plan to this file, to replay it.")]
Minimal = Annotated[bool, typer.Option("--minimal", help="Find the shortest way to the same failure first.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@simulate.command()
@explained
def hunt(
    target: Target, seeds: Seeds = SEEDS, first_seed: FirstSeed = 0,
    single_faults: Annotated[bool, typer.Option(help="Try each fault at each effect boundary alone.")] = True,
    pairs: Pairs = 0, workers: Workers = None, html: Html = None, save: Save = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Try every single fault and many seeds; print the shortest way to each failure. Exit code 1 if there is any.

    Example: insula simulate shop.simulation:survival --seeds 1000
    """
    _report(
        target, html, save, as_json=as_json, seeds=seeds, first_seed=first_seed, workers=workers,
        every_single_fault=single_faults, sampled_pairs=pairs,
    )  # fmt: skip


@simulate.command()
@explained
def sweep(
    target: Target, pairs: Pairs = 0, workers: Workers = None, html: Html = None, save: Save = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Try every single fault at every effect boundary of the workload, and nothing else.

    Example: insula simulate sweep shop.simulation:survival --pairs 500
    """
    _report(target, html, save, as_json=as_json, seeds=0, sampled_pairs=pairs, workers=workers)


@simulate.command()
@explained
def replay(
    target: Target,
    run: Annotated[str, typer.Argument(help="A seed, or the file of a plan.")],
    minimal: Annotated[
        bool, typer.Option("--minimal", help="Find the shortest way to the same failure first.")
    ] = False,
    html: Html = None,
    save: Save = None,
    as_json: Json = False,
) -> None:
    """Run once, exactly as before, and print the timeline. Exit code 1 if something is violated.

    Example: insula simulate replay shop.simulation:survival 34 --minimal
    """
    plan = None if run.isdecimal() else _plan(Path(run))
    with stage(find(target, Simulation)) as place:
        outcome = place.run(int(run) if plan is None else plan.seed, plan)
        if minimal and outcome.violation is not None:
            outcome = Shrinker(place, outcome).shrink()
    _write(outcome, html, save)
    if as_json:
        print_json(_told(outcome))
    else:
        print_text(timeline(outcome))
    raise SystemExit(FAILED if outcome.violation else 0)


def _plan(file: Path) -> Plan:
    try:
        return Plan.from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: {error}; give a seed, or a plan that --save wrote") from error


@simulate.command()
@explained
def mutations(target: Target, seeds: Annotated[int, typer.Option(min=1, help="Seeds for each.")] = 60) -> None:
    """Break the framework on purpose, one promise at a time: would your invariants notice?

    Example: insula simulate mutations shop.simulation:survival --seeds 200
    """
    with stage(find(target, Simulation)) as place, _Bar() as bar:
        verdicts, tried = [], mutations_of(place)
        for done, mutation in enumerate(tried, 1):
            verdicts.append(try_mutation(place, mutation, range(seeds)))
            bar.show("mutations", done, len(tried), sum(not each.caught for each in verdicts))
    print_text(table(verdicts))


def _report(target: str, html: Path | None, save: Path | None, *, as_json: bool, **options: Any) -> None:
    simulation = find(target, Simulation)
    child = child_of_target(target) if ":" in target else None
    with _Bar() as bar:
        report = explore(simulation, progress=bar.show, child=child, **options)
    if report.failures:
        _write(report.failures[0], html, save)
    if as_json:
        print_json(_summary(report))
    else:
        print_text(str(report))
    raise SystemExit(0 if report.holds else FAILED)


def _write(outcome: Outcome, html: Path | None, save: Path | None) -> None:
    if html is not None:
        html.write_text(page(outcome), encoding="utf-8")
    if save is not None:
        save.write_bytes(outcome.plan.to_json())


def _told(outcome: Outcome) -> dict[str, Any]:
    violation = outcome.violation
    return {
        "seed": outcome.seed,
        "digest": outcome.digest,
        "violation": None if violation is None else {"invariant": violation.invariant, "detail": violation.detail},
        "faults": [[lane, key, outcome.plan.choices[lane, key]] for lane, key in outcome.plan.faults],
        "dropped": sorted(outcome.plan.dropped),
        "story": [[each.at, each.where, each.kind, each.what] for each in outcome.story],
    }


def _summary(report: Report) -> dict[str, Any]:
    return {
        "holds": report.holds,
        "runs": report.runs,
        "seconds": round(report.seconds, 3),
        "failing runs": report.failing_runs,
        "failures": [_told(each) for each in report.failures],
        "never": report.never,
        "not repeatable": report.unrepeatable,
        "leaks": report.leaks,
        "faults": dict(sorted(report.coverage.struck.items())),
        "crash points": len(report.coverage.crash_points),
        "crash points hit": len(report.coverage.crashes),
        "handlers": dict(sorted(report.coverage.handlers.items())),
    }


def print_text(text: str) -> None:
    """Print as it is: messages may hold what looks like markup."""
    Console(soft_wrap=True).print(text, highlight=False, markup=False, emoji=False)


class _Bar:
    """A progress bar on standard error; nothing where that is no terminal. Drawn by hand: the workers are forks."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(
            *columns, TextColumn("{task.fields[failed]} failed"), console=console, auto_refresh=False, transient=True,
            disable=not console.is_terminal,
        )  # fmt: skip
        self._tasks: dict[str, Any] = {}
        self._drawn = 0.0
        self._monotonic = SystemClock().monotonic

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, what: str, done: int, total: int, failed: int) -> None:
        """Draw at most ten times a second."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, failed=failed)
        self._progress.update(self._tasks[what], completed=done, failed=failed)
        now = self._monotonic()
        if now - self._drawn > 0.1 or done == total:
            self._drawn = now
            self._progress.refresh()
