"""One of several sessions to the same file: with it the simulator plays a database server that outlives its clients.

Each session has connections of its own, in one operating-system process, so SQLite's own locks stand for the server's:
a transaction lets nobody else write, and what a session has not committed is gone when the session is. No system runs
on it: its files have one process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Executable, MetaData, Row

from insula.adapters.sqlite.database import Run, SqliteDatabase
from insula.adapters.sqlite.unit import SqliteUnit
from insula.adapters.sqlite.writer import ROLLBACK
from insula.messages import Envelope
from insula.store.database import ParkedState, Scope, Unit
from insula.store.errors import LeaseTaken
from insula.store.lease import Lease, Present, acting_for
from insula.store.unit_of_work import Parameters, Statement, SyncUnitOfWork, UnitOfWork

_TABLE = (
    "create table if not exists insula_lease (name text primary key, holder text not null, token integer not null,"
    " until real not null) without rowid -- insula"
)
_TAKEN = "select 1 from insula_lease where name = :name and holder <> :holder and until >= :now"
# A holder that asks again gets a new token too: it cannot know what it did before it forgot.
_ACQUIRE = (
    "insert into insula_lease values (:name, :holder, 1, :until) on conflict (name) do update"
    " set holder = excluded.holder, token = token + 1, until = excluded.until"
    " where until < :now or holder = excluded.holder returning token -- insula"
)
_RENEW = "update insula_lease set until = :until where name = :name and token = :token and until >= :now -- insula"
_RELEASE = "update insula_lease set until = -1 where name = :name and token = :token -- insula"
_PROCESSES = (
    "create table if not exists insula_process (came integer primary key autoincrement, holder text not null unique,"
    " kind text not null, until real not null) -- insula"
)
_GONE = "delete from insula_process where holder = :holder and (:seconds <= 0 or until < :now) -- insula"
_PRESENT = (
    "insert into insula_process (holder, kind, until) values (:holder, :kind, :until)"
    " on conflict (holder) do update set kind = excluded.kind, until = excluded.until -- insula"
)
_EVERYBODY = "select holder, kind from insula_process where until >= :now order by came -- insula"
_HELD = "select 1 from insula_lease where name = ? and token = ? -- insula"
_NOTHING = "select 1 where 0 -- insula"

_VERY_OLD = -1
"""How many changes a peek has seen that is always made again, since other sessions change rows too."""


class Server(Protocol):
    """What lies between one session and the file."""

    def reach(self) -> None:
        """Raise `Unavailable` when the server cannot be reached now."""
        ...

    def now(self) -> float:
        """The server's clock, in seconds."""
        ...

    def joined(self, session: SqliteSession) -> None:
        """The session is open."""
        ...

    def appended(self, types: frozenset[str]) -> None:
        """Tell the other sessions that the log has grown, soon and without promise."""
        ...


class SqliteSession(SqliteDatabase):
    """A module's database as one of several processes sees it. Parameters: as those of `SqliteDatabase`; `server`."""

    def __init__(self, path: Path, name: str, *arguments: Any, server: Server, **options: Any) -> None:
        super().__init__(path, name, *arguments, **options)
        self._server = server
        self.leases = SessionLeases(self, server)

    def prepare(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        """The same, with a table for leases."""
        self._connection.execute(_TABLE)
        self._connection.execute(_PROCESSES)
        done = super().prepare(tables, migrations)
        self._server.joined(self)
        return done

    def heard(self, types: frozenset[str]) -> None:
        """Another session has appended to the log."""
        super()._committed(set(types))

    def let_go(self) -> None:
        """End the session at once: what it has not committed is rolled back."""
        if self._prepared:  # a cursor whose last statement failed would keep the file open
            self._writer.statement(_NOTHING)
        super().let_go()

    def roll_back(self) -> None:
        """The server ends the transaction of a process that stands still, so that nobody waits for it."""
        writer = self._writer
        if self._prepared and self._connection.in_transaction:
            writer.statement(ROLLBACK)
            if not writer.committing:  # else the commit finds out
                writer.lose_batch()

    def _committed(self, appended: set[str]) -> None:
        super()._committed(appended)
        self._server.appended(frozenset(appended))

    def _fresh_unit(self, scope: Scope, *, alone: bool) -> SqliteUnit:
        if scope.departure is not None:
            scope.departure.reset()
        return SessionUnit(self._writer, self._reader, self._tables, scope, alone=alone, lease=self._acts_for)

    def _acts_for(self) -> Lease | None:
        return acting_for(self.leases)

    async def _until_durable(
        self, run: Run, scope: Scope, body: Any, *, on_thread: bool = False, in_line: bool = False
    ) -> Any:
        self._server.reach()
        return await super()._until_durable(run, scope, body, on_thread=on_thread, in_line=in_line)

    async def _rows(self, statement: str, **parameters: Any) -> Sequence[Any]:
        self._server.reach()
        return await super()._rows(statement, **parameters)

    async def log_head(self) -> int:
        """The last position of the log, which other sessions move too."""
        self._appends += 1
        return await super().log_head()

    def reading(self, place: str) -> UnitOfWork:
        """A read-only unit of work for the handler of a query."""
        self._server.reach()
        return super().reading(place)

    async def read_in_thread(self, body: Callable[[SyncUnitOfWork], Any], place: str) -> Any:
        """Run the synchronous handler of a query."""
        self._server.reach()
        return await super().read_in_thread(body, place)

    async def read(self, statement: Statement, parameters: Parameters = None) -> Sequence[Any]:
        """Rows of committed state."""
        self._server.reach()
        return await super().read(statement, parameters)

    async def run_for_lease(self, sql: str, **parameters: Any) -> tuple[Any, int]:
        """Run a statement on the leases in a transaction of its own; returns the row it returns, and how many it met.

        It waits for transactions that act on the strength of one, as a server's lock would let it.
        """

        async def body(unit: Unit) -> tuple[Any, int]:
            await unit.turn()
            cursor = self._writer.statement(sql, parameters)
            row = cursor.fetchone() if cursor.description is not None else None
            return row, cursor.rowcount

        return await self.perform(body, Scope(f"{self._name}: lease"))

    async def is_taken(self, name: str, holder: str) -> bool:
        """Whether somebody else has a lease now."""
        return bool(await self._rows(_TAKEN, name=name, holder=holder, now=self._server.now()))

    async def everybody(self, now: float) -> Sequence[Any]:
        """The processes that count."""
        return await self._rows(_EVERYBODY, now=now)


class SessionLeases:
    """Leases in a file that several sessions share, by the server's clock. Implements `insula.store.lease.Leases`."""

    def __init__(self, session: SqliteSession, server: Server) -> None:
        self._session = session
        self._server = server

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """The lease if it is free, has run out, or is the holder's already; None while another has it."""
        if await self._session.is_taken(name, holder):
            return None
        now = self._server.now()
        row, _ = await self._session.run_for_lease(_ACQUIRE, name=name, holder=holder, now=now, until=now + seconds)
        return None if row is None else Lease(name, holder, row[0], _moment(now + seconds))

    async def renew(self, lease: Lease, seconds: float) -> Lease | None:
        """The same lease for so many seconds from now; None when it was lost."""
        now = self._server.now()
        _, met = await self._session.run_for_lease(
            _RENEW, name=lease.name, token=lease.token, now=now, until=now + seconds
        )
        return Lease(lease.name, lease.holder, lease.token, _moment(now + seconds)) if met else None

    async def release(self, lease: Lease) -> None:
        """Give it back; harmless when it was lost."""
        await self._session.run_for_lease(_RELEASE, name=lease.name, token=lease.token)

    async def present(self, holder: str, kind: str, seconds: float) -> Sequence[Present]:
        """Say that a process is there for so many seconds from now, or with 0 that it counts no more."""
        now = self._server.now()
        await self._session.run_for_lease(_GONE, holder=holder, seconds=seconds, now=now)
        if seconds > 0:
            await self._session.run_for_lease(_PRESENT, holder=holder, kind=kind, until=now + seconds)
        return [Present(*row) for row in await self._session.everybody(now)]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class SessionUnit(SqliteUnit):
    """One run of a body beside those of other sessions. Parameters: `lease`, tells for which the process acts now."""

    def __init__(self, *arguments: Any, lease: Callable[[], Lease | None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lease = lease

    async def look(self, statement: Executable, parameters: Parameters) -> tuple[int, Sequence[Row[Any]]]:
        """Committed rows; others may have changed them since, so they are always read again."""
        _, rows = await super().look(statement, parameters)
        return _VERY_OLD, rows

    async def _as_holder(self) -> None:
        """What one process of the module does at a time must not be done by one that was late."""
        lease = self._lease()
        await self.turn()
        if lease is not None and self._writer.statement(_HELD, (lease.name, lease.token)).fetchone() is None:
            raise LeaseTaken(
                f"{self._scope.place}: another process has taken the lease {lease.name}; nothing of it is stored, it "
                "is that one's work now"
            )

    async def park(self, consumer: str, envelope: Envelope, *, attempts: int, due: datetime, error: str) -> None:
        """Set a message aside."""
        await self._as_holder()
        await super().park(consumer, envelope, attempts=attempts, due=due, error=error)

    async def repark(self, sequence: int, *, attempts: int, due: datetime, state: ParkedState, error: str) -> None:
        """Change when a parked message is tried again, or that it is not."""
        await self._as_holder()
        await super().repark(sequence, attempts=attempts, due=due, state=state, error=error)

    async def bury(self, consumer: str, message_id: str) -> None:
        """Make a parked message a dead letter."""
        await self._as_holder()
        await super().bury(consumer, message_id)

    async def rename_consumer(self, before: str, after: str) -> None:
        """Hand marks and parked messages of one consumer to another."""
        await self._as_holder()
        await super().rename_consumer(before, after)

    async def unpark(self, sequence: int) -> None:
        """Forget a parked message."""
        await self._as_holder()
        await super().unpark(sequence)

    async def save_cursor(self, name: str, position: int) -> None:
        """Remember how far a reader of a log has come."""
        await self._as_holder()
        await super().save_cursor(name, position)

    async def remove_timers(self, identifiers: Collection[str]) -> None:
        """Delete timers."""
        await self._as_holder()
        await super().remove_timers(identifiers)
