"""A module's database on one SQLite file. Implements `insula.store.database.Database`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import MetaData

from insula.adapters.sqlite.commit_thread import Committer, CommitThread
from insula.adapters.sqlite.connection import Connection, open_writer, sqlalchemy_connection
from insula.adapters.sqlite.errors import machine_failure, table_missing
from insula.adapters.sqlite.faults import columns_of, missing_columns
from insula.adapters.sqlite.lock import FileLock
from insula.adapters.sqlite.migrate import migrate
from insula.adapters.sqlite.moving import SqliteSide, claim
from insula.adapters.sqlite.queries import Queries
from insula.adapters.sqlite.reader import Reader
from insula.adapters.sqlite.tables import BookKeeping
from insula.adapters.sqlite.unit import SqliteUnit
from insula.adapters.sqlite.writer import BatchLost, Writer
from insula.kernel.clock import Clock
from insula.kernel.errors import ConfigurationError, Failure, Rejection
from insula.store.database import Database, Duplicate, Scope, Unit
from insula.store.errors import Contended, OutcomeUnknown
from insula.store.guard import guarded
from insula.store.handler_threads import HandlerThreads
from insula.store.query_unit import QueryUnit, SyncQueryUnit
from insula.store.signals import MarkedBefore, Moved, PeekStale, UnitSignal
from insula.store.succession import Succession
from insula.store.thread_unit import ThreadUnit
from insula.store.unit_of_work import Parameters, Statement, SyncUnitOfWork, UnitOfWork, executable

Value = TypeVar("Value")
Run = Callable[[SqliteUnit], Awaitable[Any]]

RUNS_BEFORE_GIVING_UP = 20
STALE_RUNS_BEFORE_QUEUEING = 2
"""From then on a unit runs again only when those that were outrun before it are through."""


class SqliteDatabase(Queries):
    """Opens the file, runs units of work in group commits, and reads beside them.

    Parameters: `path`, the file, made if missing; `name`, the module's; `busy_timeout_seconds`, how long a foreign
    program may hold the file before a unit fails (default 5); `query_timeout_seconds`, after which a long read is
    stopped (default 30); `committer`, what runs COMMIT (default: a thread); `threads`, False to run synchronous bodies
    on the loop, holding the turn from their start (the simulator); `owners`, table -> module, of tables that lie
    elsewhere, for errors; `sole_process`, whether no other process ever looks at the file (the simulator).
    Raises `AlreadyOpen`, and `ConfigurationError` for a file that cannot be used.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        clock: Clock,
        *,
        busy_timeout_seconds: float = 5,
        query_timeout_seconds: float = 30,
        committer: Committer | None = None,
        threads: bool = True,
        owners: Mapping[str, str] | None = None,
        sole_process: bool = False,
    ) -> None:
        self._name = name
        self._path = path
        self._clock = clock
        self._lock = FileLock(path)
        if not sole_process:
            self._lock.acquire()
        try:
            self._connection = _opened(path, sole_process=sole_process)
        except BaseException:
            self._lock.release()
            raise
        self._owners = owners or {}
        self._sole_process = sole_process
        self._prepared = False
        self._alone_in_line = asyncio.Lock()
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._appends, self._head = 0, (-1, 0)
        self._busy_timeout_seconds = busy_timeout_seconds
        self._query_timeout_seconds = query_timeout_seconds
        self._committer = committer or CommitThread(f"insula-commit-{name}", clock)
        self._inline = not threads
        self._threads = HandlerThreads(f"insula-{name}")
        self._succession = Succession(name)

    @property
    def name(self) -> str:
        """The module's name."""
        return self._name

    @property
    def location(self) -> str:
        """The file."""
        return str(self._path)

    async def start(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        """The same as `prepare`, which waits for nothing."""
        return self.prepare(tables, migrations)

    def prepare(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        """Apply migrations, or without any make the declared tables that are missing; then accept units.

        Returns what was done, a line each. Raises `ConfigurationError` when an existing table lacks a declared column.
        """
        try:
            applied = migrate(self._connection, self._clock, self._name, migrations)
            done = [f"{self._name}: applied {each.number:04}_{each.name}" for each in applied]
            if tables is not None and migrations is None:
                _create_missing(self._connection, tables, self._path)
        except BaseException:
            self.let_go()
            raise
        self._writer = Writer(
            self._connection, self._name, self._clock,
            committer=self._committer,
            busy_timeout_seconds=self._busy_timeout_seconds, on_commit=self._committed,
        )  # fmt: skip
        self._tables = BookKeeping(self._writer.statement, self._clock)
        self._reader = Reader(
            self._path, self._name, self._clock,
            query_timeout_seconds=self._query_timeout_seconds, owners=self._owners, sole_process=self._sole_process,
        )  # fmt: skip
        self._prepared = True
        return done

    def _committed(self, appended: set[str]) -> None:
        self._appends += 1
        types = frozenset(appended)
        for listener in self._listeners:
            listener(types)

    def on_append(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call `listener` with the types appended, after each commit that appended to the log."""
        self._listeners.append(listener)

    # Not `async`: each layer that a suspended coroutine passes through is paid for twice, by every unit.
    def perform(self, body: Callable[[Unit], Awaitable[Value]], scope: Scope) -> Coroutine[Any, Any, Value]:
        """Run `body` as one unit of work, again where the batch was lost or a peek has changed."""

        def run(unit: SqliteUnit) -> Awaitable[Value]:
            return guarded(body(unit), unit, scope.place)  # type: ignore[arg-type]  # bodies are coroutines

        return self._until_durable(run, scope, body)

    async def perform_in_thread(self, body: Callable[[SyncUnitOfWork], Value], scope: Scope) -> Value:
        """Run a synchronous `body` on a worker thread as one unit of work.

        A thread cannot be stopped: a caller that is cancelled leaves at once, and what the body does is undone.
        """
        loop = asyncio.get_running_loop()

        def work(unit: SqliteUnit) -> Value:
            sync_unit = ThreadUnit(unit, loop)
            value = body(sync_unit)
            sync_unit.finish()
            return value

        async def run(unit: SqliteUnit) -> Value:
            if self._inline:
                await unit.begin(scope.place)
                return work(unit)
            return await self._threads.until_over(self._threads.begin(work, unit, scope.place))

        ending = loop.create_task(self._until_durable(run, scope, body, on_thread=True))
        try:
            return await self._threads.or_leave(ending)
        except asyncio.CancelledError:
            ending.cancel()
            raise

    async def _until_durable(
        self, run: Run, scope: Scope, body: Any, *, on_thread: bool = False, in_line: bool = False
    ) -> Any:
        alone, stale = False, 0
        for _ in range(RUNS_BEFORE_GIVING_UP):
            unit = self._fresh_unit(scope, alone=alone)
            try:
                value, refusal, durable = await self._attempt(run, unit)
                if durable is not None:
                    await durable
            except PeekStale:
                stale += 1
                if not in_line and stale == STALE_RUNS_BEFORE_QUEUEING:
                    async with self._alone_in_line:
                        return await self._until_durable(run, scope, body, on_thread=on_thread, in_line=True)
                await self._writer.settled()  # readers do not see the change before its batch is committed
                continue
            except Moved:
                return await self._succession.perform(body, scope, on_thread=on_thread)
            except BatchLost as lost:
                _raise_if_final(lost, scope, alone=alone)
                alone = alone or lost.cause is not None
                continue
            except Exception as error:
                if alone or not unit.lost:
                    _raise_as_failure(error, scope.place, self._owners)
                    raise
                alone = True
                continue
            if refusal is not None:
                raise refusal
            return value
        raise Contended(f"{scope.place}: gave up after {RUNS_BEFORE_GIVING_UP} runs; what it reads keeps changing")

    def _fresh_unit(self, scope: Scope, *, alone: bool) -> SqliteUnit:
        if scope.departure is not None:
            scope.departure.reset()
        return SqliteUnit(self._writer, self._reader, self._tables, scope, alone=alone)

    async def _attempt(self, run: Run, unit: SqliteUnit) -> tuple[Any, Exception | None, asyncio.Future[None] | None]:
        """One run of the body: what it returned or refused, and the future of durability."""
        try:
            try:
                value = await run(unit)
                return value, None, await unit.finish(value)
            except Rejection as rejection:
                if not unit.answers_rejections:
                    raise  # nobody waits for this "no", so nothing of the run is kept
                return None, rejection, await unit.reject(rejection)
        except BaseException as error:
            left = not isinstance(error, (Exception, UnitSignal))  # cancelled: nobody to answer, nothing to repeat
            if isinstance(unit.ended, MarkedBefore) and not left:
                return None, Duplicate(unit.ended.answer), unit.leave()
            if unit.writing is not None and not unit.lost and not self._connection.in_transaction:
                unit.lose(str(error), machine_failure(error, self._name))
            unit.abandon()
            if isinstance(unit.ended, (PeekStale, Moved, Failure)) and unit.ended is not error and not left:
                raise unit.ended from error
            raise

    def reading(self, place: str) -> UnitOfWork:
        """A read-only unit of work for the handler of a query."""
        return QueryUnit(self._reader, place)

    async def read_in_thread(self, body: Callable[[SyncUnitOfWork], Value], place: str) -> Value:
        """Run the synchronous handler of a query on a worker thread."""
        unit = SyncQueryUnit(self._reader, place)
        return await self._threads.or_leave(self._threads.begin(body, unit, place))

    async def read(self, statement: Statement, parameters: Parameters = None) -> Sequence[Any]:
        """Rows of committed state."""
        return await self._reader.rows(executable(statement), parameters)

    async def claim(self, identifier: str) -> bool:
        """Mark an empty file, before `start`, as the target of one extraction; False when it was marked before."""
        return claim(self._connection, self.location, identifier)

    async def rivals(self) -> Sequence[str]:
        """Nobody: the file has one process."""
        return []

    def side(self) -> SqliteSide:
        """This file as one end of an extraction."""
        return SqliteSide(self._path, self._name, self._writer)

    def succeed(self, successor: Database | None) -> None:
        """Let another database do what this one, which is out of use, may not; None when it is in use again."""
        self._succession.settle(successor)

    def let_go(self) -> None:
        """Close the file at once, as the end of the process would: what is not committed is rolled back."""
        if self._prepared:
            self._prepared = False
            self._reader.let_go()
        self._connection.shut()
        self._lock.release()

    async def close(self) -> None:
        """Finish the commit under way, close every connection and let go of the file."""
        if self._prepared:
            self._prepared = False
            self._writer.refuse()
            await self._threads.ended()
            await self._writer.close()
            self._threads.close()
            self._reader.close()
        self.let_go()


def _raise_as_failure(error: BaseException, place: str, owners: Mapping[str, str]) -> None:
    """Raise what SQLite reported in Insula's words; return for errors that are the statement's own."""
    failure = machine_failure(error, place) or table_missing(error, place, owners)
    if failure is not None:
        raise failure from error


def _raise_if_final(lost: BatchLost, scope: Scope, *, alone: bool) -> None:
    """Raise where the unit must not run again: it may be stored already, or it failed in a batch of its own."""
    if lost.uncertain and scope.mark is None:
        raise OutcomeUnknown(f"{scope.place}: {lost.cause}; it may have happened all the same") from None
    if alone and lost.cause is not None:
        raise lost.cause from None


def _opened(path: Path, *, sole_process: bool) -> Connection:
    try:
        return open_writer(path, sole_process=sole_process)
    except (sqlite3.Error, OSError) as error:
        failure = machine_failure(error, str(path)) or f"{path}: {error}; check the path and its permissions"
        raise ConfigurationError(str(failure)) from error


def _create_missing(connection: Connection, tables: MetaData, path: Path) -> None:
    """Make the tables that are missing; refuse to guess how an existing one should change."""
    schema = connection.execute("select group_concat(sql, ';') from sqlite_master -- insula").fetchone()[0]
    looked_at = (schema, [(table.name, len(table.columns)) for table in tables.tables.values()])
    if _complete.get(tables) == looked_at:
        return  # the tables were looked at in this process: a test or a simulation starts again and again
    present = columns_of(connection)
    for fault in missing_columns(present, tables, path):
        raise ConfigurationError(fault)
    if any(table.name not in present for table in tables.sorted_tables):
        tables.create_all(sqlalchemy_connection(connection))
    else:
        _complete[tables] = looked_at


_complete: MutableMapping[MetaData, object] = WeakKeyDictionary()
"""Declared tables -> the schema of a file that had them all, and what was declared then."""
