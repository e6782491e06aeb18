"""The disk under a simulated process: COMMIT takes virtual time, fails, fills up; around it a process likes to die."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from insula.simulation.choices import Choice
from insula.simulation.machine.labels import label_of
from insula.simulation.machine.process import SimulatedProcess
from insula.store.database import Scope

_FASTEST_SECONDS, _SLOWEST_SECONDS = 0.0002, 0.004

Action = Callable[[], object]
Done = Callable[[BaseException | None], None]


class SimulatedCommitter:
    """Runs the commits of one module in one process. Implements the adapter's `Committer`."""

    def __init__(self, process: SimulatedProcess, module: str) -> None:
        self._process = process
        self._world = process.world
        self._module = module
        self._full_until = 0.0
        self._full: Choice | None = None

    def start(self, commit: Action, done: Done, units: Sequence[Scope]) -> None:
        """Begin `commit`; call `done` with its error, or None."""
        labels = [label_of(unit, self._world.aliases) for unit in units]
        what = self._world.choices.number(f"{self._module}: commit of {labels[0] if labels else 'nothing'}")
        seconds = self._world.choices.latency(what, _FASTEST_SECONDS, _SLOWEST_SECONDS)
        self._world.loop.call_later(seconds, self._finish, commit, done, units, labels, what)

    def _finish(self, commit: Action, done: Done, units: Sequence[Scope], labels: Sequence[str], what: str) -> None:
        process, world = self._process, self._world
        jump = world.fault("clock-jump", what)
        if jump is not None:
            process.skew += jump
            world.record(process.name, "clock-jump", f"by {jump:g} s", choice=("clock-jump", what))
        refused = self._refused(what)
        if refused is not None:
            error, choice = refused
            world.record(process.name, "abort", what, choice=choice)
            done(error)
            return
        if process.strike(f"before {what}"):
            return
        if process.paused:
            world.loop.call_soon(self._store, commit, done, units, labels, what)
        else:
            self._store(commit, done, units, labels, what)

    def _store(self, commit: Action, done: Done, units: Sequence[Scope], labels: Sequence[str], what: str) -> None:
        process, world = self._process, self._world
        try:
            commit()
        except sqlite3.Error as error:
            done(error)
            return
        world.committed(process, self._module, units, labels)
        if world.over:
            return
        if world.fault("unknown-outcome", what) is not None:
            world.record(process.name, "unknown-outcome", what, choice=("unknown-outcome", what))
            done(_error("disk I/O error", sqlite3.SQLITE_IOERR))
            return
        if process.strike(f"after {what}"):
            return
        done(None)

    def _refused(self, what: str) -> tuple[sqlite3.Error, Choice | None] | None:
        world = self._world
        seconds = world.fault("disk-full", what)
        if seconds is not None:
            self._full, self._full_until = ("disk-full", what), world.loop.time() + seconds
        if world.loop.time() < self._full_until and world.choices.faults_on:
            return _error("database or disk is full", sqlite3.SQLITE_FULL), self._full
        if world.fault("abort", what) is not None:
            return _error("disk I/O error", sqlite3.SQLITE_IOERR), ("abort", what)
        return None

    def close(self) -> None:
        """Nothing is held."""


def _error(text: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error
