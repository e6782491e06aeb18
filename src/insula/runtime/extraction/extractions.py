"""The extractions of one process: begun, watched, given up, finished and taken back by its operator."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from insula.kernel.clock import Clock
from insula.kernel.deadline import without_deadline
from insula.kernel.errors import ConfigurationError
from insula.kernel.randomness import Randomness
from insula.messaging.failing import described as told
from insula.modules import Module
from insula.runtime.configuration import Store
from insula.runtime.databases import Place, opened, place_of, source_of, target_of
from insula.runtime.extraction.extraction import Extraction, give_up
from insula.runtime.extraction.progress import Phase, Progress
from insula.runtime.extraction.state import remember
from insula.runtime.extraction.tables import Described, described, moved_tables, require_keys
from insula.runtime.module_database import ModuleDatabase
from insula.runtime.movable import MovableDatabase
from insula.runtime.moves import Move, MoveState, forget, move_of
from insula.runtime.surroundings import Surroundings
from insula.store.framework_tables import FRAMEWORK_TABLES
from insula.store.moved_rows import MovedTable
from insula.store.moving import GIVEN_UP, IDENTIFIER, MovableAdapter, Side

_log = logging.getLogger("insula.runtime")
_IDENTIFIER_BITS = 96
_BROKEN_OFF = "it was broken off; give the same command again to go on, or --abort"


class Extractions:
    """Parameters: `modules` that run in this process; `databases`, by module; `store`, the configuration; `directory`,
    where moves are noted and SQLite files lie.
    """

    def __init__(
        self,
        modules: Mapping[str, Module],
        databases: Mapping[str, ModuleDatabase],
        store: Store,
        surroundings: Surroundings,
        directory: Path,
    ) -> None:
        self._modules = modules
        self._databases = databases
        self._store = store
        self._surroundings = surroundings
        self._directory = directory
        self._clock: Clock = surroundings.clock
        self._randomness: Randomness = surroundings.randomness
        self._progress: dict[str, Progress] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changing: dict[str, asyncio.Lock] = {}

    def knows(self, module: str) -> bool:
        """Whether the module runs here."""
        return isinstance(self._databases.get(module), MovableDatabase)

    def progress(self, module: str) -> Progress | None:
        """How far the extraction of a module is; None when there was none."""
        known, move = self._progress.get(module), move_of(self._directory, module)
        if known is not None:
            return known
        if move is None:
            return None
        phases = {MoveState.MOVED: Phase.SWITCHED, MoveState.FINISHED: Phase.FINISHED}
        phase = phases.get(move.state, Phase.FAILED)
        broken_off = phase is Phase.FAILED
        problem = _BROKEN_OFF if broken_off else ""
        return Progress(module, str(target_of(move)), phase, problem=problem, back=move.back, broken_off=broken_off)

    async def begin(self, module: str, address: str, password_file: str) -> Progress:
        """Move a module to an address, or go on with it. Raises ConfigurationError and `AlreadyOpen`."""
        async with self._alone(module):
            place, move = Place(address, password_file), self._forgotten_if_configured(module)
            running = self._tasks.get(module)
            if move is not None and (move.back or move.address != address or move.state is MoveState.FINISHED):
                raise ConfigurationError(_in_the_way(move))
            if move is not None and (move.state is MoveState.MOVED or (running and not running.done())):
                return self.progress(module) or Progress(module, str(place))
            await self._require_alone(module)
            if move is not None:
                return await self._begun(module, place, move, new=False)
            source = place_of(module, self._store)
            move = Move(module, self._fresh_identifier(), address, password_file, source.address, source.password_file)
            return await self._begun(module, place, move, new=True)

    def _forgotten_if_configured(self, module: str) -> Move | None:
        """The move of a module; none when it is over and the configuration knows."""
        move = move_of(self._directory, module)
        if move is None or move.state is not MoveState.FINISHED:
            return move
        if place_of(module, self._store).address != move.address:
            return move
        forget(self._directory, module)
        return None

    async def _begun(self, module: str, place: Place, move: Move, *, new: bool) -> Progress:
        database = self._movable(module)
        await database.close_superseded()
        source = await _described(_adapter(database.current).side())
        require_keys(source)  # before anything is made
        target, nothing_left = self._opened(module, place), new
        try:
            move.write(self._directory)  # first: what is claimed for an unknown move would be nobody's
            fresh = await _adapter(target).claim(move.identifier)
            nothing_left = False
            await target.start(self._modules[module].tables, self._modules[module].migrations)
            try:
                tables = await self._tables(module, source, target)
            except ConfigurationError:
                if new:
                    await _give_up(_adapter(target).side())
                    nothing_left = True
                raise
        except BaseException:
            await target.close()
            if nothing_left:
                forget(self._directory, module)
            raise
        return await self._start(database, target, tables, move, fresh=fresh)

    async def _tables(self, module: str, source: Described, target: ModuleDatabase) -> list[MovedTable]:
        there = await _described(_adapter(target).side())
        return moved_tables(source, there, self._modules[module].tables)

    async def _start(
        self, database: MovableDatabase, target: ModuleDatabase, tables: list[MovedTable], move: Move, *, fresh: bool
    ) -> Progress:
        module = database.name
        progress = self._progress[module] = Progress(module, str(target_of(move)), back=move.back)
        work = self._run(database, target, tables, move, progress, fresh=fresh)
        loop = asyncio.get_running_loop()
        self._tasks[module] = loop.create_task(work, context=without_deadline())
        await asyncio.sleep(0)  # a task that is cancelled before it has begun closes nothing
        return progress

    async def _run(
        self,
        database: MovableDatabase,
        target: ModuleDatabase,
        tables: list[MovedTable],
        move: Move,
        progress: Progress,
        *,
        fresh: bool,
    ) -> None:
        current = database.current
        source_side, target_side = _adapter(current).side(), _adapter(target).side()

        def switched() -> None:
            _adapter(target).succeed(None)
            database.become(target)
            _adapter(current).succeed(target)
            self._note_switched(move)  # before anybody is told

        extraction = Extraction(source_side, target_side, tables, move.identifier, progress, self._clock)
        try:
            await extraction.run(fresh=fresh, back=move.back, switched=switched)
            _log.info(
                "%s: its data lies in %s now; units waited %.3f s", move.module, target.location, progress.held_seconds
            )
        except BaseException as error:
            if database.current is target:
                self._note_switched(move)  # whatever it was, it has happened
            else:
                await target.close()
                progress.problem = told(error) if isinstance(error, Exception) else _BROKEN_OFF
                progress.enter(Phase.FAILED)
                _log.error("%s: extraction: %s", move.module, progress.problem)
            if not isinstance(error, Exception):
                raise
        finally:
            await source_side.close()
            await target_side.close()

    def _note_switched(self, move: Move) -> None:
        if move.back:
            forget(self._directory, move.module)
        else:
            msgspec.structs.replace(move, state=MoveState.MOVED).write(self._directory)

    async def abort(self, module: str) -> Progress:
        """Give up an extraction that has not switched; the module goes on where it is."""
        async with self._alone(module):
            move = move_of(self._directory, module)
            if move is None:
                raise ConfigurationError(f"{module}: no extraction is under way")
            if move.state is not MoveState.UNDER_WAY:
                raise ConfigurationError(
                    f"{module}: its data lies in {target_of(move)} already; take it back with --back, or --finish"
                )
            progress = self.progress(module) or Progress(module, str(target_of(move)))
            await self._stopped(module)
            if progress.phase is Phase.SWITCHED:  # in the last moment
                return progress
            if move.back:
                msgspec.structs.replace(move, state=MoveState.MOVED, back=False).write(self._directory)
                self._progress.pop(module, None)
                return Progress(module, str(target_of(move)), Phase.SWITCHED)
            await self._forgotten(module, move)
            progress.enter(Phase.ABORTED)
            progress.problem = ""
            self._progress[module] = progress
            return progress

    async def _forgotten(self, module: str, move: Move) -> None:
        side = _adapter(self._movable(module).current).side()
        try:
            found = await _described(side)
            await give_up(side, _with_keys(found))
        finally:
            await side.close()
        forget(self._directory, module)
        try:
            await self._mark_given_up(module, move)
        except Exception as error:  # then it has to be emptied by hand before it is a target again
            _log.warning("%s: %s: %s", module, target_of(move), told(error))

    async def _mark_given_up(self, module: str, move: Move) -> None:
        target = self._opened(module, target_of(move))
        try:
            await _adapter(target).claim(move.identifier)
            await target.start(None, None)
            await _give_up(_adapter(target).side())
        finally:
            await target.close()

    async def back(self, module: str) -> Progress:
        """Take a module back to where it came from, with what has changed since."""
        async with self._alone(module):
            move = self._switched(module)
            running = self._tasks.get(module)
            if running is not None and not running.done():
                return self.progress(module) or Progress(module, str(target_of(move)))
            await self._require_alone(module)
            database = self._movable(module)
            await database.close_superseded()
            source = await _described(_adapter(database.current).side())
            target = self._opened(module, source_of(move))
            try:
                await target.start(self._modules[module].tables, self._modules[module].migrations)
                tables = await self._tables(module, source, target)
                move = msgspec.structs.replace(move, state=MoveState.UNDER_WAY, back=True)
                move.write(self._directory)
            except BaseException:
                await target.close()
                raise
            return await self._start(database, target, tables, move, fresh=False)

    async def finish(self, module: str, *, remove: bool) -> Progress:
        """Give up the way back. Parameters: `remove`, whether the file that the module came from goes too."""
        async with self._alone(module):
            move = self._switched(module)
            if remove and source_of(move).file(module, self._directory) is None:
                raise ConfigurationError(
                    f"{module}: drop the database {source_of(move)} on its server, without --remove"
                )
            await self._stopped(module)
            database = self._movable(module)
            await database.close_superseded()
            side = _adapter(database.current).side()
            try:
                found = await _described(side)
                await give_up(side, _with_keys(found))
                await side.execute(["drop table if exists insula_extraction"])
            finally:
                await side.close()
            msgspec.structs.replace(move, state=MoveState.FINISHED).write(self._directory)
            if remove:
                self._remove_source(move)
            progress = self._progress[module] = Progress(module, str(target_of(move)), Phase.FINISHED)
            return progress

    def _remove_source(self, move: Move) -> None:
        file = source_of(move).file(move.module, self._directory)
        if file is not None:
            for ending in ("", "-wal", "-shm", ".lock"):
                file.with_name(file.name + ending).unlink(missing_ok=True)

    def _switched(self, module: str) -> Move:
        move = move_of(self._directory, module)
        if move is None or not (move.state is MoveState.MOVED or (move.back and move.state is MoveState.UNDER_WAY)):
            raise ConfigurationError(f"{module}: no extraction has switched; nothing can be finished or taken back")
        return move

    async def _require_alone(self, module: str) -> None:
        rivals = await _adapter(self._movable(module).current).rivals()
        if rivals:
            raise ConfigurationError(
                f"{module}: other processes have its database open ({', '.join(rivals)}); let one run alone for the "
                "time of an extraction"
            )

    def _opened(self, module: str, place: Place) -> ModuleDatabase:
        owners = {name: owner for owner, each in self._modules.items() if owner != module for name in each.table_names}
        return opened(module, place, self._store, self._surroundings, self._directory, owners)

    def _movable(self, module: str) -> MovableDatabase:
        return cast("MovableDatabase", self._databases[module])

    def _fresh_identifier(self) -> str:
        return f"{self._randomness.bits(_IDENTIFIER_BITS):024x}"

    def _alone(self, module: str) -> asyncio.Lock:
        return self._changing.setdefault(module, asyncio.Lock())

    async def _stopped(self, module: str) -> None:
        task = self._tasks.pop(module, None)
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def close(self) -> None:
        """Break off what is under way; it can go on after the next start."""
        for module in list(self._tasks):
            await self._stopped(module)


def _with_keys(found: Described) -> list[MovedTable]:
    own = [MovedTable.of(table, found.keys[name]) for name, table in found.tables.items() if found.keys[name]]
    return [*FRAMEWORK_TABLES, *own]


async def _described(side: Side) -> Described:
    try:
        async with side.snapshot() as view:
            return await view.run(described)
    finally:
        await side.close()


async def _give_up(side: Side) -> None:
    try:
        await side.write(lambda sql: remember(sql, IDENTIFIER, GIVEN_UP))
    finally:
        await side.close()


def _adapter(database: ModuleDatabase) -> MovableAdapter:
    return cast("MovableAdapter", database)


def _in_the_way(move: Move) -> str:
    if move.back:
        return f"{move.module}: it is on its way back from {target_of(move)}; go on with --back"
    if move.state is MoveState.FINISHED:
        return (
            f"{move.module}: it was moved to {target_of(move)}; write addresses = {{{move.module} = "
            f'"{target_of(move)}"}} into [store] of insula.toml and start again before it is moved once more'
        )
    return (
        f"{move.module}: an extraction to {target_of(move)} is under way or done; --abort, --back or --finish it first"
    )
