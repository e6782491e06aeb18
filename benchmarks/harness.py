"""Runs ours, the peers and the floor of each case by turns, and prints one row a case.

Figures taken minutes apart on a shared machine differ more than the things compared, so every round takes one sample
of each contender, in rotated order, and the row shows medians: the ratios within one run are what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

Sample = Callable[[], Awaitable[float]]
"""Takes one figure, in the unit of its case."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and where to measure; `directory` must be on the disk whose commits are to be measured."""

    rounds: int
    seconds: float
    directory: Path


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of doing the work of a case. `packages` are the imports without which it sits out."""

    name: str
    open: Callable[[Settings], AbstractAsyncContextManager[Sample]]
    packages: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        return [package for package in self.packages if importlib.util.find_spec(package) is None]


@dataclass(frozen=True, slots=True)
class Case:
    """The same work done by us, by the peers and by the least code that can do it."""

    name: str
    unit: str
    better: Literal["lower", "higher"]
    ours: Contender
    floor: Contender | None = None
    peers: tuple[Contender, ...] = ()
    target: str = ""
    warm_up: bool = True

    def contenders(self) -> Iterator[Contender]:
        yield self.ours
        if self.floor is not None:
            yield self.floor
        yield from self.peers


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of one case; a contender that sat out is None or left out."""

    case: Case
    ours: float
    floor: float | None
    peers: dict[str, float]

    def best_peer(self) -> tuple[str, float] | None:
        if not self.peers:
            return None
        best = max if self.case.better == "higher" else min
        return best(self.peers.items(), key=lambda named: named[1])

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case.name,
            "unit": self.case.unit,
            "ours": self.ours,
            "floor": self.floor,
            "peers": self.peers,
            "better": self.case.better,
        }

    def cells(self) -> tuple[str, ...]:
        peer = self.best_peer()
        return (
            f"{self.case.name} ({self.case.unit})",
            figure(self.ours),
            figure(peer[1]) if peer else "–",
            peer[0] if peer else "–",
            figure(self.floor) if self.floor is not None else "–",
            f"{self.ours / peer[1]:.2f}" if peer else "–",
            f"{self.ours / self.floor:.2f}" if self.floor else "–",
            self.case.target,
        )


HEADINGS = ("case", "ours", "best peer", "its name", "floor", "ours÷peer", "ours÷floor", "target")
LEFT_ALIGNED = frozenset({"case", "its name", "target"})


def figure(value: float) -> str:
    """Write a figure with as many digits as it deserves."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out in aligned columns."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if heading in LEFT_ALIGNED else cell.rjust(width)
            for cell, width, heading in zip(line, widths, HEADINGS, strict=True)
        ).rstrip()
        for line in lines
    )


async def throughput(
    operation: Callable[[], Awaitable[object]], *, seconds: float, concurrency: int = 1, burst: int = 1
) -> float:
    """Operations a second of `concurrency` tasks, each awaiting one operation after the other.

    `burst` operations run between two looks at the clock, so that the clock costs the fast ones nothing.
    """
    finished = 0
    started = time.perf_counter()
    end = started + seconds

    async def work() -> None:
        nonlocal finished
        turns = range(burst)
        while time.perf_counter() < end:
            for _ in turns:
                await operation()
            finished += burst

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return finished / (time.perf_counter() - started)


def throughput_blocking(operation: Callable[[], object], *, seconds: float) -> float:
    """Operations a second, one after the other, of code that blocks."""
    finished = 0
    started = time.perf_counter()
    end = started + seconds
    while time.perf_counter() < end:
        operation()
        finished += 1
    return finished / (time.perf_counter() - started)


async def measure(case: Case, settings: Settings) -> Row:
    """Open every contender of the case, warm each up with one sample, then take the rounds by turns."""
    async with AsyncExitStack() as opened:
        samples: dict[str, Sample] = {}
        for contender in case.contenders():
            if missing := contender.missing():
                say(f"{case.name}: {contender.name} sits out, {', '.join(missing)} is not installed (extra: bench)\n")
                continue
            progress(f"{case.name}: starting {contender.name}")
            samples[contender.name] = await opened.enter_async_context(contender.open(settings))
            if case.warm_up:
                await samples[contender.name]()
        taken: dict[str, list[float]] = {name: [] for name in samples}
        names = list(samples)
        for turn in range(settings.rounds):
            progress(f"{case.name}: round {turn + 1} of {settings.rounds}")
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                gc.collect()
                taken[name].append(await samples[name]())
    progress("")
    medians = {name: median(values) for name, values in taken.items()}
    return Row(
        case=case,
        ours=medians[case.ours.name],
        floor=medians.get(case.floor.name) if case.floor else None,
        peers={peer.name: medians[peer.name] for peer in case.peers if peer.name in medians},
    )


def say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def progress(text: str) -> None:
    """Show what runs now on a terminal's last line; silent where nobody watches."""
    if sys.stderr.isatty():
        say(f"\r\x1b[K{text}")


def arguments(description: str, cases: Sequence[Case]) -> argparse.Namespace:
    listed = "\n".join(f"  {case.name:28} {case.unit}; target {case.target or 'none'}" for case in cases)
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"cases:\n{listed}\n\nexample:\n  python -m {module_name()} --quick --json figures.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="a rough look in under 20 seconds")
    parser.add_argument("--rounds", type=int, metavar="N", help="samples of each contender (default 7, quick fewer)")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of a sample (default 1, quick 0.3)")
    parser.add_argument("--case", action="append", metavar="NAME", help="only this case; may be repeated")
    parser.add_argument(
        "--directory", type=Path, metavar="DIR", help="where databases lie (default: the system's temporary folder)"
    )
    return parser.parse_args()


def module_name() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec else "benchmarks.AREA"


def run(
    description: str,
    cases: Sequence[Case],
    *,
    quick_rounds: int = 3,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """The command line of one area: measure its cases, print the table, write the JSON.

    `new_loop` makes the loop to measure on, the same for everybody; default uvloop, which serves in production.
    """
    options = arguments(description, cases)
    unknown = set(options.case or ()) - {case.name for case in cases}
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}; there are: {', '.join(case.name for case in cases)}")
    chosen = [case for case in cases if not options.case or case.name in options.case]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="insula-benchmark-", dir=options.directory) as directory:
        settings = Settings(
            rounds=options.rounds or (quick_rounds if options.quick else 7),
            seconds=options.seconds or (0.3 if options.quick else 1.0),
            directory=Path(directory),
        )
        rows.extend(on_a_loop(measure(case, settings), new_loop) for case in chosen)
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([row.as_json() for row in rows], indent=2, ensure_ascii=False) + "\n")


def on_a_loop(work: Coroutine[Any, Any, Row], new_loop: Callable[[], asyncio.AbstractEventLoop] | None) -> Row:
    if new_loop is None:
        import uvloop

        new_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)
