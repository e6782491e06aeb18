"""A module's file as one end of an extraction. Implements `insula.store.moving.Side`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import text

from insula.adapters.sqlite.connection import Connection, open_reader, open_writer, sqlalchemy_connection
from insula.adapters.sqlite.errors import machine_failure
from insula.adapters.sqlite.writer import ROLLBACK, BatchLost, Writer
from insula.kernel.errors import Failure
from insula.store.database import Scope
from insula.store.moved_rows import MovedTable
from insula.store.moving import IDENTIFIER, MOVED_TO, STATE, STATE_TABLE, claimed
from insula.store.signals import Moved

Value = TypeVar("Value")

_TRIGGER = "insula_captured_"
_CAPTURED = f"select tbl_name from sqlite_master where name = '{_TRIGGER}' || tbl_name || '_after_insert'"
_UNIQUE_INDEXES = 'select name, origin from pragma_index_list(:table) where "unique"'
_COLUMNS_OF_INDEX = "select name from pragma_index_info(:index)"


class _View:
    """One read transaction. Parameters: `connection`, with which nothing else happens."""

    def __init__(self, connection: Connection) -> None:
        self._sql = sqlalchemy_connection(connection)

    async def run(self, work: Callable[[SqlConnection], Value]) -> Value:
        """Read on a thread, since there may be much to read."""
        return await _on_a_thread(lambda: work(self._sql))


class _Hold(_View):
    """The turn of the one writer. Parameters: `connection`, a reader's; `writer`, whose turn is held."""

    def __init__(self, connection: Connection, writer: Writer, place: str) -> None:
        super().__init__(connection)
        self._writer = writer
        self._place = place
        self.over = False

    async def commit(self, statements: Sequence[str]) -> None:
        """Run statements in the turn, give it back and wait until they are durable."""
        for statement in statements:
            self._writer.statement(f"{statement} -- insula")
        self.over = True
        durable = self._writer.release(Scope(self._place))
        try:
            if durable is not None:
                await durable
        except BatchLost as lost:
            raise lost.cause or Failure(f"{self._place}: the transaction was lost") from lost


class SqliteSide:
    """Parameters: `path` of the file; `name`, the module's; `writer`, the one that units of work share."""

    def __init__(self, path: Path, name: str, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self._place = f"{name}: extraction"
        self._own: Connection | None = None

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[_View]:
        """Committed rows as they are now."""
        connection = open_reader(self._path)
        connection.user_code = False  # what runs here is our own
        try:
            view = _View(connection)
            connection.execute("begin -- insula")
            connection.execute("select count(*) from insula_meta -- insula")  # from here on it stands still
            yield view
        finally:
            connection.shut()

    @asynccontextmanager
    async def hold(self, tables: Sequence[str]) -> AsyncIterator[_Hold]:
        """Take the writer's turn alone: units wait for it, as they wait for one another."""
        try:
            await self._writer.acquire(alone=True)
        except Moved:
            raise Failure(f"{self._place}: {self._path} is out of use") from None
        hold: _Hold | None = None
        connection = open_reader(self._path)
        connection.user_code = False
        try:
            hold = _Hold(connection, self._writer, self._place)
            yield hold
        finally:
            connection.shut()
            if hold is None or not hold.over:
                self._writer.statement(ROLLBACK)
                self._writer.release(None)

    async def write(self, work: Callable[[SqlConnection], Value]) -> Value:
        """Run `work` in a transaction on a connection of our own."""
        if self._own is None:
            self._own = open_writer(self._path)
            self._own.execute("pragma foreign_keys=off -- insula")
        connection = self._own
        return await _on_a_thread(lambda: _in_transaction(connection, work, self._place))

    async def execute(self, statements: Sequence[str]) -> None:
        """Run statements in a turn of their own."""
        async with self.hold(()) as hold:
            await hold.commit(statements)

    def capture(self, connection: SqlConnection, table: MovedTable) -> Sequence[str]:
        """Triggers that note keys: also those of rows that give way to one with the same unique value, unheard."""
        keys = ", ".join(column.name for column in table.change_columns)
        # Without types, values stay exactly what they are.
        made = [f"create table {_quoted(table.changes.name)} (sequence integer primary key, {keys})"]
        into = f"insert into {_quoted(table.changes.name)} ({keys})"
        new, old = (", ".join(f"{row}.{_quoted(name)}" for name in table.key) for row in ("new", "old"))
        differs = " or ".join(f"old.{_quoted(name)} is not new.{_quoted(name)}" for name in table.key)
        bodies = {
            "after insert": [f"{into} values ({new})"],
            "after update": [f"{into} values ({new})", f"{into} select {old} where {differs}"],
            "after delete": [f"{into} values ({old})"],
        }
        giving_way = [f"{into} {each}" for each in _giving_way(connection, table)]
        if giving_way:
            bodies |= {"before insert": giving_way, "before update": giving_way}
        return [*made, *(self._trigger(table.name, moment, bodies[moment]) for moment in bodies)]

    def _trigger(self, table: str, moment: str, body: Sequence[str]) -> str:
        name = f"{_TRIGGER}{table}_{moment.replace(' ', '_')}"
        return f"create trigger {_quoted(name)} {moment} on {_quoted(table)} begin {'; '.join(body)}; end"

    def captured(self, connection: SqlConnection) -> Collection[str]:
        """The tables that have our triggers."""
        return connection.execute(text(_CAPTURED)).scalars().all()

    def stop_capture(self, table: MovedTable) -> Sequence[str]:
        """Drop the triggers and what they noted."""
        moments = [f"{when}_{what}" for when in ("after", "before") for what in ("insert", "update", "delete")]
        return [
            *(f"drop trigger if exists {_quoted(f'{_TRIGGER}{table.name}_{moment}')}" for moment in moments),
            f"drop table if exists {_quoted(table.changes.name)}",
        ]

    def refuse(self, tables: Sequence[str], why: str) -> Sequence[str]:
        """A row that the writer looks for at the beginning of each transaction."""
        return [f"insert into insula_meta values ('{MOVED_TO}', {_text(why)})"]

    def accept(self, tables: Sequence[str]) -> Sequence[str]:
        """Without that row."""
        return [f"delete from insula_meta where name = '{MOVED_TO}'"]

    def quiet(self, connection: SqlConnection) -> Mapping[str, Sequence[str]]:
        """Drop triggers; foreign keys are not looked at on this connection."""
        own = "select name, sql from sqlite_master where type = 'trigger' and name not like 'insula\\_%' escape '\\'"
        triggers = connection.execute(text(own)).all()
        for name, _ in triggers:
            connection.execute(text(f"drop trigger {_quoted(name)}"))
        return {"triggers": [sql for _, sql in triggers]}

    def numbers(self, connection: SqlConnection) -> Mapping[str, int]:
        """What AUTOINCREMENT remembers."""
        if not connection.execute(text("select 1 from sqlite_master where name = 'sqlite_sequence'")).first():
            return {}
        return {row.name: row.seq for row in connection.execute(text("select name, seq from sqlite_sequence"))}

    def number_on(self, connection: SqlConnection, numbers: Mapping[str, int]) -> None:
        """Other tables go on after their greatest number by themselves."""
        for name, last in self.numbers(connection).items():
            values = {"name": name, "last": max(last, numbers.get(name, 0))}
            connection.execute(text("update sqlite_sequence set seq = :last where name = :name"), values)

    async def close(self) -> None:
        """Close our own connection."""
        if self._own is not None:
            self._own.shut()
            self._own = None


def claim(connection: Connection, place: str, identifier: str) -> bool:
    """Mark an empty file as the target of one extraction; False when it was marked before."""
    connection.execute("begin immediate -- insula")
    try:
        tables = connection.execute("select name from sqlite_master where type = 'table' -- insula").fetchall()
        found = None
        if (STATE,) in tables:
            found = connection.execute(f"select value from {STATE} where name = '{IDENTIFIER}' -- insula").fetchone()
        fresh = claimed(place, [name for (name,) in tables], found and found[0], identifier)
        if fresh:
            connection.execute(f"{STATE_TABLE} -- insula")
            connection.execute(f"insert or replace into {STATE} values ('{IDENTIFIER}', ?) -- insula", (identifier,))
    except BaseException:
        connection.execute("rollback -- insula")
        raise
    connection.execute("commit -- insula")
    return fresh


def _giving_way(connection: SqlConnection, table: MovedTable) -> Iterator[str]:
    """For each unique index: the key of the row that REPLACE would delete without a word for the new one."""
    key = ", ".join(_quoted(name) for name in table.key)
    for name, origin in connection.execute(text(_UNIQUE_INDEXES), {"table": table.name}).all():
        columns = connection.execute(text(_COLUMNS_OF_INDEX), {"index": name}).scalars().all()
        if origin != "pk" and None not in columns:
            same = " and ".join(f"{_quoted(column)} = new.{_quoted(column)}" for column in columns)
            yield f"select {key} from {_quoted(table.name)} where {same}"


def _in_transaction(connection: Connection, work: Callable[[SqlConnection], Value], place: str) -> Value:
    connection.execute("begin immediate -- insula")
    try:
        value = work(sqlalchemy_connection(connection))
        connection.execute("commit -- insula")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("rollback -- insula")
        failure = machine_failure(error, place)
        if failure is not None:
            raise failure from error
        raise
    return value


async def _on_a_thread(work: Callable[[], Value]) -> Value:
    """Wait for the thread also when cancelled, for it is using the connection."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return running.result()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
