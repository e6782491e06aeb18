"""Runs over all cores: forked workers, each with a share of the plans, answering in JSON."""

from __future__ import annotations

import os
import selectors
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from insula.simulation.hunting.coverage import Coverage

Task = TypeVar("Task")

_CHUNK = 1 << 16


class Finding(msgspec.Struct, frozen=True):
    """One run, as its worker tells of it. `number` is its place among the tasks; `invariant` is "" if all held."""

    number: int
    invariant: str
    detail: str
    digest: str


class _Share(msgspec.Struct, frozen=True):
    """All that a worker has reached."""

    handlers: dict[str, int]
    struck: dict[str, int]
    crash_points: list[str]
    crashes: list[str]
    seen: dict[str, int]


class _Broken(msgspec.Struct, frozen=True):
    """A worker could not go on."""

    trace: str


class WorkerBroke(RuntimeError):
    """A worker ended before its share was done; the message holds its traceback."""


def spread(
    tasks: Sequence[Task], run: Callable[[int, Task, Coverage], Finding], coverage: Coverage, workers: int | None = None
) -> Iterator[Finding]:
    """Run every task on as many processes as there are cores; findings come as they are made.

    Parameters: `run`, with the task's number, the task and the coverage to add to; `coverage`, to which all that was
    reached is added in the end; `workers` (default: as many as this process may use). Closing the iterator ends the
    workers.
    """
    count = min(workers or len(os.sched_getaffinity(0)), max(1, len(tasks)))
    if count == 1:
        for number, task in enumerate(tasks):
            yield run(number, task, coverage)
        return
    pipes: list[tuple[int, int]] = []
    try:
        for share in range(count):
            pipes.append(_fork(tasks, run, share, count, [reading for _, reading in pipes]))
        yield from _gather(pipes, coverage)
    finally:
        for _, reading in pipes:  # all of them first: a worker that cannot get rid of its word would not end
            os.close(reading)
        for process, _ in pipes:
            _end(process)


def _fork(
    tasks: Sequence[Task],
    run: Callable[[int, Task, Coverage], Finding],
    share: int,
    count: int,
    of_others: Sequence[int],
) -> tuple[int, int]:
    reading, writing = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    for each in (reading, *of_others):  # an end held by a sibling would hide from a worker that nobody listens
        os.close(each)
    status = 1
    try:
        with os.fdopen(writing, "wb", buffering=0) as out:
            _work(tasks, run, share, count, lambda message: out.write(msgspec.json.encode(message) + b"\n"))
        status = 0
    except BrokenPipeError:
        status = 0  # the parent has seen enough
    finally:
        os._exit(status)


def _work(
    tasks: Sequence[Task],
    run: Callable[[int, Task, Coverage], Finding],
    share: int,
    count: int,
    tell: Callable[[object], object],
) -> None:
    coverage = Coverage()
    try:
        for number in range(share, len(tasks), count):
            tell({"finding": run(number, tasks[number], coverage)})
    except BrokenPipeError:
        raise
    except BaseException:
        tell({"broken": _Broken(traceback.format_exc())})
        return
    tell(
        {
            "share": _Share(
                dict(coverage.handlers), dict(coverage.struck), sorted(coverage.crash_points),
                sorted(coverage.crashes), dict(coverage.seen),
            )
        }
    )  # fmt: skip


class _Line(msgspec.Struct, frozen=True):
    finding: Finding | None = None
    share: _Share | None = None
    broken: _Broken | None = None


def _gather(pipes: Sequence[tuple[int, int]], coverage: Coverage) -> Iterator[Finding]:
    decode = msgspec.json.Decoder(_Line).decode
    waiting, done = {reading: b"" for _, reading in pipes}, set[int]()
    with selectors.DefaultSelector() as selector:
        for reading in waiting:
            selector.register(reading, selectors.EVENT_READ)
        while len(done) < len(pipes):
            for key, _ in selector.select():
                reading = key.fd
                data = os.read(reading, _CHUNK)
                if not data:
                    raise WorkerBroke("a worker of the simulation ended without a word; was it killed?")
                *lines, waiting[reading] = (waiting[reading] + data).split(b"\n")
                for line in map(decode, lines):
                    if line.finding is not None:
                        yield line.finding
                    elif line.broken is not None:
                        raise WorkerBroke(f"a run of the simulation failed by itself:\n{line.broken.trace}")
                    elif line.share is not None:
                        _add(coverage, line.share)
                        done.add(reading)
                        selector.unregister(reading)


def _add(coverage: Coverage, share: _Share) -> None:
    coverage.handlers.update(share.handlers)
    coverage.struck.update(share.struck)
    coverage.seen.update(share.seen)
    coverage.crash_points.update(share.crash_points)
    coverage.crashes.update(share.crashes)


def _end(process: int) -> None:
    """End a worker of ours, which may be in the middle of a run that nobody waits for any more."""
    try:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)
    except (ChildProcessError, ProcessLookupError):
        return
