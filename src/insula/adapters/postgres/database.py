"""A module's database on PostgreSQL. Implements `insula.store.database.Database`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import asyncpg
from sqlalchemy import MetaData

from insula.adapters.postgres import pruning
from insula.adapters.postgres.address import Address, require_version
from insula.adapters.postgres.ambassador import Ambassador
from insula.adapters.postgres.errors import failure_of, is_the_databases, table_missing
from insula.adapters.postgres.group_commit import CommitFailed, GroupCommit
from insula.adapters.postgres.keeper import Keeper
from insula.adapters.postgres.leases import PostgresLeases
from insula.adapters.postgres.line import Line
from insula.adapters.postgres.link import Link
from insula.adapters.postgres.migrate import migrate
from insula.adapters.postgres.moving import RIVALS, PostgresSide, claim
from insula.adapters.postgres.pool import Pool
from insula.adapters.postgres.queries import Queries
from insula.adapters.postgres.reader import Reader
from insula.adapters.postgres.replica import ReplicaReader
from insula.adapters.postgres.schema import create_missing
from insula.adapters.postgres.tables import Operation, fence
from insula.adapters.postgres.unit import CommitLost, Conflicted, ErrorHidden, Parts, PostgresUnit
from insula.adapters.postgres.waiting import guarded
from insula.kernel.clock import Clock
from insula.kernel.errors import Failure, Rejection
from insula.store.database import Database, Duplicate, Scope, Unit
from insula.store.errors import Contended, OutcomeUnknown
from insula.store.handler_threads import HandlerThreads
from insula.store.lease import acting_for
from insula.store.measures import DatabaseMeasures
from insula.store.query_unit import QueryUnit, SyncQueryUnit
from insula.store.signals import MarkedBefore, Moved, PeekStale, UnitSignal
from insula.store.succession import Succession
from insula.store.thread_unit import ThreadUnit
from insula.store.unit_of_work import Parameters, Statement, SyncUnitOfWork, UnitOfWork, executable

Value = TypeVar("Value")
Run = Callable[[PostgresUnit], Awaitable[Any]]
Isolation = Literal["serializable", "repeatable read", "read committed"]

RUNS_BEFORE_GIVING_UP = 20
STALE_RUNS_BEFORE_QUEUEING = 2
"""From then on a unit runs again only when those that were outrun before it are through."""

_LONGEST_IDLE_SECONDS = 120.0
"""How long a handler may hold its transaction without a statement, on a thread."""


class PostgresDatabase(Queries):
    """Opens the database, runs units of work in transactions of their own, and reads beside them.

    Parameters: `address`; `name`, the module's; `connections`, the most that are open at once (default 10, at least 4);
    `isolation` of handlers' transactions (default "serializable": those that collide run again);
    `busy_timeout_seconds`, how long a unit waits for a free connection or a lock (default 5); `query_timeout_seconds`,
    after which a statement is stopped (default 30); `owners`, table -> module, of tables that lie elsewhere, for
    errors; `alone`, False to let other processes of the same module open it too; `replica`, the address of a copy that
    the server keeps, from which the handlers of queries read (default: from the server itself).
    """

    def __init__(
        self,
        address: Address,
        name: str,
        clock: Clock,
        *,
        connections: int = 10,
        isolation: Isolation = "serializable",
        busy_timeout_seconds: float = 5,
        query_timeout_seconds: float = 30,
        owners: Mapping[str, str] | None = None,
        alone: bool = True,
        replica: Address | None = None,
    ) -> None:
        self._name = name
        self._address = address
        self._clock = clock
        self._owners = owners or {}
        self._isolation = isolation
        self._head = None
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._careful: set[str] = set()
        self._outrun = asyncio.Lock()
        self._threads = HandlerThreads(f"insula-{name}")
        self._started = False
        self._settings = {
            "statement_timeout": str(int(query_timeout_seconds * 1000)),
            "lock_timeout": str(int(busy_timeout_seconds * 1000)),
            "idle_in_transaction_session_timeout": str(int(_LONGEST_IDLE_SECONDS * 1000)),
            "default_transaction_isolation": "read committed",
        }
        readers = max(1, connections // 4)
        pool = partial(Pool, wait_seconds=busy_timeout_seconds, place=name)
        ambassador = self._ambassador = Ambassador(self._connect, name)
        self._units = pool(ambassador.connect, max(1, connections - readers - 2))
        self._readers = pool(partial(ambassador.connect, default_transaction_read_only="on"), readers)
        self._writers = pool(ambassador.connect, 1)
        self._replicas = None
        if replica is not None:  # with a circuit of its own
            self._replicas = pool(Ambassador(partial(self._connect_to, replica), f"{name} (replica)").connect, readers)
        self._units_run = self._runs_repeated = 0
        self._keeper = Keeper(self._connect, name, self._grown_elsewhere, alone=alone)
        self._group = GroupCommit(self._writers, name, clock, self._committed)
        # Not with the handlers: a lease must not be lost because all of them are slow.
        self.leases = PostgresLeases(self._writers, name)
        self._succession = Succession(name)

    @property
    def name(self) -> str:
        """The module's name."""
        return self._name

    @property
    def location(self) -> str:
        """Where the data lies, for people."""
        return str(self._address)

    async def _connect(self, **settings: str) -> asyncpg.Connection:
        return await self._address.connect(f"insula {self._name} {os.getpid()}", {**self._settings, **settings})

    async def _connect_to(self, replica: Address) -> asyncpg.Connection:
        settings = {**self._settings, "default_transaction_read_only": "on"}
        return await replica.connect(f"insula {self._name} {os.getpid()} queries", settings)

    async def start(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        """Claim the database, apply migrations, or without any make the declared tables that are missing.

        Returns what was done, a line each. Raises `ConfigurationError` when the database cannot be opened or an
        existing table lacks a declared column, `AlreadyOpen`.
        """
        self._reader = Reader(self._readers, self._name, self._owners)
        self._queries: Reader | ReplicaReader = self._reader
        if self._replicas is not None:
            replica = Reader(self._replicas, self._name, self._owners)
            self._queries = ReplicaReader(replica, self._reader, self._name, self._clock)
        self._parts = Parts(
            self._units, self._reader, self._group, Line(), self._clock,
            f"begin isolation level {self._isolation}", self._committed, self._fence,
        )  # fmt: skip
        try:
            await self._keeper.start()
            done = await self._prepared(tables, migrations)
        except BaseException as error:
            self.let_go()
            explained = self._address.explained(error)
            if explained is None or explained is error:
                raise
            raise explained from error
        self._started = True
        self._group.number()  # what the last run left
        return done

    async def _prepared(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        connection = await self._connect(lock_timeout="0", statement_timeout="0")
        try:
            require_version(connection, self._address)
            link = Link(connection, self._name)
            applied = await migrate(link, self._clock, self._name, migrations)
            if tables is not None and migrations is None:
                await create_missing(link, tables, str(self._address))
        finally:
            await connection.close()
        return [f"{self._name}: applied {each.number:04}_{each.name}" for each in applied]

    def _committed(self, appended: set[str], head: int | None = None) -> None:
        if head is not None:
            self._head = head
        self._keeper.appended(appended)
        self._tell(frozenset(appended))

    def _grown_elsewhere(self, types: frozenset[str]) -> None:
        self._head = None
        self._group.number()
        self._tell(types)

    def _tell(self, types: frozenset[str]) -> None:
        for listener in self._listeners:
            listener(types)

    def _fence(self) -> Operation | None:
        lease = acting_for(self.leases)
        return None if lease is None else fence(lease.name, lease.token)

    def on_append(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call `listener` with the types appended, after they have their positions."""
        self._listeners.append(listener)

    def perform(self, body: Callable[[Unit], Awaitable[Value]], scope: Scope) -> Coroutine[Any, Any, Value]:
        """Run `body` as one unit of work, again where another transaction was first or a peek has changed."""

        def run(unit: PostgresUnit) -> Awaitable[Value]:
            return guarded(body(unit), unit, scope.place)  # type: ignore[arg-type]  # bodies are coroutines

        return self._until_durable(run, scope, body)

    async def perform_in_thread(self, body: Callable[[SyncUnitOfWork], Value], scope: Scope) -> Value:
        """Run a synchronous `body` on a worker thread as one unit of work.

        A thread cannot be stopped: a caller that is cancelled leaves at once, and what the body does is undone.
        """
        loop = asyncio.get_running_loop()

        def work(unit: PostgresUnit) -> Value:
            sync_unit = ThreadUnit(unit, loop)
            value = body(sync_unit)
            sync_unit.finish()
            return value

        async def run(unit: PostgresUnit) -> Value:
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
        stale = 0
        self._units_run += not in_line
        for _ in range(RUNS_BEFORE_GIVING_UP):
            if self._keeper.refused is not None:
                raise self._keeper.refused
            if scope.departure is not None:
                scope.departure.reset()
            unit = PostgresUnit(self._parts, scope, careful=scope.place in self._careful)
            try:
                value, refusal, durable = await self._attempt(run, unit)
                if durable is not None:
                    await durable
            except Moved:
                return await self._succession.perform(body, scope, on_thread=on_thread)
            except (UnitSignal, Exception) as error:
                if not self._again(error, scope):
                    raise
                self._runs_repeated += 1
                stale += isinstance(error, PeekStale)
                if stale == STALE_RUNS_BEFORE_QUEUEING and not in_line:
                    async with self._outrun:
                        return await self._until_durable(run, scope, body, on_thread=on_thread, in_line=True)
                continue
            if refusal is not None:
                raise refusal
            return value
        raise Contended(f"{scope.place}: gave up after {RUNS_BEFORE_GIVING_UP} runs; what it reads keeps changing")

    def _again(self, error: BaseException, scope: Scope) -> bool:
        """Whether a unit that ended so runs again; raises what stands for the error in Insula's words."""
        if isinstance(error, Conflicted):
            self._parts.line.collided(scope.place)
        elif isinstance(error, ErrorHidden):
            self._careful.add(scope.place)
        elif isinstance(error, (CommitLost, CommitFailed)):
            _raise_if_final(error, scope)
        elif is_the_databases(error):
            self._raise_as_failure(error, scope.place)
            return False
        return isinstance(error, (UnitSignal, CommitLost, CommitFailed))

    async def _attempt(self, run: Run, unit: PostgresUnit) -> tuple[Any, Exception | None, asyncio.Future[None] | None]:
        """One run of the body: what it returned or refused, and the future of durability."""
        try:
            try:
                value = await run(unit)
                return value, None, await unit.finish(value)
            except Rejection as rejection:
                if not unit.answers_rejections or unit.ended is not None:
                    raise  # nobody waits for this "no", so nothing of the run is kept
                return None, rejection, await unit.reject(rejection)
        except BaseException as error:
            if not isinstance(error, (Exception, UnitSignal)):  # cancelled: nobody to answer, nothing to repeat
                unit.drop()
                raise
            ended = unit.ended
            await unit.abandon()
            if isinstance(ended, MarkedBefore):
                return None, Duplicate(ended.answer), None
            if isinstance(ended, (UnitSignal, Failure)) and ended is not error:
                raise ended from error
            raise

    def _raise_as_failure(self, error: BaseException, place: str) -> None:
        """Raise what the server reported in Insula's words; return for errors that are the statement's own."""
        failure = failure_of(error, place) or table_missing(error, place, self._owners)
        if failure is not None:
            raise failure from error

    def reading(self, place: str) -> UnitOfWork:
        """A read-only unit of work for the handler of a query."""
        return QueryUnit(self._queries, place)

    async def read_in_thread(self, body: Callable[[SyncUnitOfWork], Value], place: str) -> Value:
        """Run the synchronous handler of a query on a worker thread."""
        unit = SyncQueryUnit(self._queries, place)
        return await self._threads.or_leave(self._threads.begin(body, unit, place))

    async def read(self, statement: Statement, parameters: Parameters = None) -> Sequence[Any]:
        """Rows of committed state."""
        return await self._reader.rows(executable(statement), parameters)

    async def prune(
        self, *, marks: dict[str, int], answers_before: datetime, log_below: int, log_before: datetime, limit: int
    ) -> int:
        """Delete marks no redelivery can need (per source, up to a position), answers and log rows past retention."""
        link = await self._units.take()
        try:
            deleted = await pruning.prune(
                link,
                marks=marks,
                answers_before=answers_before,
                log_below=log_below,
                log_before=log_before,
                limit=limit,
            )
        except BaseException as error:
            self._units.give_unfinished(link)
            self._raise_as_failure(error, f"{self._name}: pruning")
            raise
        self._units.give(link)
        return deleted

    def _pools(self) -> list[Pool]:
        return [pool for pool in (self._units, self._readers, self._writers, self._replicas) if pool is not None]

    async def claim(self, identifier: str) -> bool:
        """Mark an empty database, before `start`, as the target of an extraction; False when it was marked before."""
        try:
            return await claim(self._connect, str(self._address), identifier)
        except Exception as error:
            raise self._address.explained(error) or error from error

    async def rivals(self) -> Sequence[str]:
        """The other processes that have the database open."""
        return [row[0] for row in await self._reader.fetch(RIVALS, f"insula {self._name} %", os.getpid())]

    def measures(self) -> DatabaseMeasures:
        """What the database counts of itself."""
        return self._ambassador.measures(self._pools(), self._units_run, self._runs_repeated)

    def side(self) -> PostgresSide:
        """This database as one end of an extraction."""
        return PostgresSide(partial(self._connect, statement_timeout="0"), self._name)

    def succeed(self, successor: Database | None) -> None:
        """Let another database do what this one, which is out of use, may not; None when it is in use again."""
        self._succession.settle(successor)

    def let_go(self) -> None:
        """Drop every connection at once, as the end of the process would: what is not committed is rolled back."""
        self._started = False
        self._group.let_go()
        self._keeper.let_go()
        for pool in self._pools():
            pool.let_go()

    async def close(self) -> None:
        """Finish what is under way, close every connection and let go of the database."""
        if self._started:
            self._started = False
            await self._threads.ended()
            await self._group.close()
            for pool in self._pools():
                await pool.close()
            await self._keeper.close()
        self._threads.close()
        self.let_go()


def _raise_if_final(lost: CommitLost | CommitFailed, scope: Scope) -> None:
    """Raise where the unit must not run again: it may be stored already, or it certainly was not and will not be."""
    uncertain = isinstance(lost, CommitLost) or lost.uncertain
    if not uncertain:
        raise lost.cause from None
    if scope.mark is None:
        raise OutcomeUnknown(f"{scope.place}: {lost.cause}; it may have happened all the same") from None
