"""One run: services in their processes on one virtual machine, from start through faults to rest."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import zlib
from asyncio import events
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from insula.runtime.inspection import Inspection
from insula.simulation.choices import Choice, Choices
from insula.simulation.invariants import Invariant, ModuleSnapshot, Snapshot, told
from insula.simulation.machine.ground import Ground
from insula.simulation.machine.labels import message_label
from insula.simulation.machine.loop import RunsForEver, SimulatedTask, StandsStill
from insula.simulation.machine.network import Network
from insula.simulation.machine.process import SimulatedProcess, current_process
from insula.simulation.machine.watchdog import BlockedThread, Watchdog
from insula.simulation.machine.worker_threads import inline_worker_threads
from insula.simulation.rest import Rest
from insula.simulation.service import Service
from insula.simulation.setting import Setting
from insula.simulation.workload import Client, Workload, carry_out
from insula.store.database import Scope

FAULTS_SECONDS = 30.0
"""Virtual seconds after which faults stop, if the workload has not come to rest before."""

REST_SECONDS = 1800.0
MOST_TIMERS = 500
_LOOK_SECONDS = 0.5


class World(Ground):
    """Everything that exists in one run.

    Parameters: `setting`, on which its processes are made; `choices`; `invariants`; `groups`, the processes and their
    modules; `begins`, virtual seconds; `operations`, what distinguishes the ids of this run's operations from others.
    """

    def __init__(
        self,
        setting: Setting,
        choices: Choices,
        invariants: Sequence[Invariant],
        groups: Sequence[tuple[str, Sequence[str]]],
        begins: float,
        operations: str = "",
    ) -> None:
        super().__init__(choices, lambda context: context.get(current_process, self.outside), begins)
        self.outside = SimulatedProcess(self, "outside", 0)
        self.network = Network(self)
        self.client = Client(self, self.network, setting.assembly, operations)
        self.services = [Service(self, self.network, name, modules, setting) for name, modules in groups]
        self._rest = Rest(self.services)
        for each in self.services:
            for module in each.modules:
                self.network.services_of.setdefault(module, []).append(each)
        self.reached: Counter[str] = Counter()
        self.seen: set[str] = set()
        self._begins = begins
        self._invariants = invariants
        system = setting.assembly.system
        self._inspection = Inspection(system, directory=setting.directory, sole_process=True)
        self.snapshot = Snapshot(self._inspection, system.modules, setting.stand_ins)
        self._after_commit: dict[str, list[tuple[Invariant, Any]]] = {}
        for module in self.network.services_of:
            state = ModuleSnapshot(self.snapshot, module)
            self._after_commit[module] = [
                (each, state if each.when == "after commit" else self.snapshot)
                for each in invariants
                if each.when == "always" or (each.when == "after commit" and each.module == module)
            ]

    # -- what happens

    def committed(self, process: SimulatedProcess, module: str, units: Sequence[Scope], labels: Sequence[str]) -> None:
        """A batch is stored: tell whoever listens elsewhere, and see whether everything still holds."""
        types: set[str] = set()
        for unit, label in zip(units, labels, strict=True):
            leaving = [] if unit.departure is None else unit.departure.envelopes
            types.update(envelope.type for envelope in leaving)
            for envelope in leaving:
                self._mark(envelope.data)
            sent = ", ".join(message_label(envelope, self.aliases) for envelope in leaving)
            ids = tuple(envelope.id for envelope in leaving)
            self.record(process.name, "commit", f"{label} → {sent}" if sent else label, messages=ids)
            self.reached[label.partition("[")[0]] += 1
        if types:
            self.network.appended(module, process.name, frozenset(types))
        for check, state in self._after_commit[module]:
            detail = check.broken(state)
            if detail is not None:
                self.fail(check.name, detail)

    def _mark(self, data: bytes) -> None:
        """Let the run's digest tell data apart that the story does not show."""
        self.loop.checksum = zlib.crc32(data, self.loop.checksum)

    def _mark_tables(self) -> None:
        for module in self.snapshot.modules:
            for rows in self._inspection.tables(module):
                self._mark(repr(rows).encode())

    # -- lives and deaths

    def crash(
        self, process: SimulatedProcess, where: str, downtime_seconds: float, choice: Choice | None = None
    ) -> None:
        """End a process at once; its service starts again later, from what it has stored."""
        if process.dead:
            return
        process.dead = True
        what = f"{where}; down for {downtime_seconds:g} s"
        self.record(process.name, "crash", what, choice=choice, seconds=downtime_seconds)
        self.loop.freeze(process)
        process.ready.clear()
        service = next(each for each in self.services if each.process is process)
        service.fell(process)
        for cut in process.on_death:
            cut()
        self.loop.call_later(downtime_seconds, service.start, context=self.outside.context)

    def pause(self, process: SimulatedProcess, seconds: float, where: str, choice: Choice | None = None) -> None:
        """Let a process stand still, as a long garbage collection or a frozen machine does."""
        self.record(process.name, "pause", f"{where}, for {seconds:g} s", choice=choice, seconds=seconds)
        process.paused = True
        self.loop.freeze(process)
        for tell in process.on_pause:
            tell()

        def resume() -> None:
            process.paused = False
            self.loop.resume(process)

        self.loop.call_later(seconds, resume, context=self.outside.context)

    # -- the run

    def run(self, workload: Workload, *, tidy: bool = False) -> None:
        """From start to rest, or to the first violation. Raises BlockedThread if a step never ends.

        Parameters: `tidy`, whether the files are used afterwards: the journals are moved into them at the end.
        """
        collecting, logging_from = gc.isenabled(), logging.root.manager.disable
        gc.disable()  # it would close what crashed at a moment of its own
        logging.disable(logging.CRITICAL)  # the story tells it
        main = self.loop.create_task(self._main(workload), context=self.outside.context.copy())
        try:
            with inline_worker_threads(), Watchdog(self.loop):
                self.loop.run_until_complete(main)
        except (StandsStill, RunsForEver) as error:
            self.fail("the system goes on", str(error))
        except RuntimeError:
            if self.violation is None:  # else the loop was stopped by it
                raise
        finally:
            self._dispose(tidy=tidy)
            logging.disable(logging_from)
            if collecting:
                gc.enable()

    async def _main(self, workload: Workload) -> None:
        for service in self.services:
            service.start()
        while not all(service.ready for service in self.services):  # noqa: ASYNC110 - a crash takes it back
            await asyncio.sleep(_LOOK_SECONDS / 10)
        users = self.loop.create_task(carry_out(workload, self.client, self))
        await asyncio.wait([users], timeout=self._begins + FAULTS_SECONDS - self.loop.time())
        while self.loop.time() < self._begins + FAULTS_SECONDS:
            if users.done() and (users.exception() is not None or await self._rest.reason_against() is None):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        self.choices.faults_on = False
        self.record("outside", "heal", "no more faults")
        await self._come_to_rest(users)
        self._final_checks()

    async def _come_to_rest(self, users: SimulatedTask) -> None:
        give_up, timers = self.loop.time() + REST_SECONDS, 0
        while True:
            error = users.exception() if users.done() else None
            if error is not None:
                if isinstance(error, BlockedThread):
                    raise error
                self.fail("the workload goes to its end", told(error))
                return
            wait, reason = _LOOK_SECONDS, await self._rest.reason_against()
            if reason is None and not users.done():
                waiting = [f"{name} has no answer ({why})" for name, why in self.client.waiting.items()]
                reason = "; ".join(waiting) or "the workload has not ended"
            elif reason is None:
                due = await self._rest.next_timer()
                if due is None:
                    return
                wait = max(wait, due - self.loop.time())
                give_up, timers = give_up + wait, timers + 1
            if self.loop.time() > give_up or timers > MOST_TIMERS:
                self.fail("the system comes to rest", reason or "timers set themselves again and again")
                return
            await asyncio.sleep(wait)

    def _final_checks(self) -> None:
        self._mark_tables()
        for each in self._invariants:
            if each.when == "sometimes":
                try:
                    if each.check(self.snapshot):
                        self.seen.add(each.name)
                except Exception as wrong:
                    self.fail(each.name, told(wrong))
                continue
            if each.when == "after commit":
                detail = each.broken(ModuleSnapshot(self.snapshot, each.module or ""))
            else:
                detail = each.broken(self.snapshot)
            if detail is not None:
                self.fail(each.name, detail)
                return
        for error in self.loop.unhandled:
            self.fail("no error is left unhandled", f"{error.get('message')}: {error.get('exception')!r}")

    def _dispose(self, *, tidy: bool) -> None:
        """Close what is left. Ports are shut, so that `finally` blocks that run now change nothing."""
        self.over = True
        if tidy:  # the last to close a file moves its journal into it, unless it can only read
            self._inspection.__exit__(None, None, None)
        for service in self.services:
            if service.process is not None:
                service.process.dead = True
            service.fell(service.process)
        self._inspection.__exit__(None, None, None)
        events._set_running_loop(self.loop)  # noqa: SLF001 - closing coroutines may ask for the loop
        try:
            for task in self.loop.tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - they are meant to be
                if not task.done():
                    with suppress(BaseException):
                        contextvars.copy_context().run(task.get_coro().close)
        finally:
            events._set_running_loop(None)  # noqa: SLF001
        self.loop.close()
