"""A module's database, read only, from synchronous code. Implements `insula.store.records.Records`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import MetaData, Result
from sqlalchemy.exc import DBAPIError

from insula.adapters.postgres.address import Address
from insula.adapters.postgres.errors import is_lost, original
from insula.adapters.postgres.link import Link
from insula.adapters.postgres.migrate import FRAMEWORK, FRAMEWORK_OWNER
from insula.adapters.postgres.queries import PARKED_ALL
from insula.adapters.postgres.schema import COLUMNS, columns_of, missing_columns
from insula.adapters.postgres.tables import (
    LOG_COLUMNS,
    TIMER_COLUMNS,
    answer_of,
    envelope_of,
    parked_of,
    timer_of,
)  # fmt: skip
from insula.kernel.errors import ConfigurationError
from insula.messages import Envelope
from insula.store.database import Answer, Parked, Timer
from insula.store.migration import Applied, found_in, pending
from insula.store.unit_of_work import Parameters, Statement, executable

Value = TypeVar("Value")

_LOG = f"select {LOG_COLUMNS} from insula_log where position > $1 order by position limit $2"
_TAKEN = "select consumer, outcome, answer, time from insula_inbox where message_id = $1 order by time"
_POSITIONS = "select position from insula_log order by position"
_DELAYED = f"select {TIMER_COLUMNS} from insula_timer where schedule = '' order by due, sequence"
_APPLIED = "select number, name, checksum from insula_migration where owner = $1 order by number"


class PostgresRecords:
    """Parameters: `address`; `module`, its name."""

    def __init__(self, address: Address, module: str) -> None:
        self._address = address
        self._module = module
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: Link | None = None

    @property
    def place(self) -> str:
        """The database."""
        return str(self._address)

    def _wait(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Whoever looks may run on a loop of its own, and must not be asked to wait on it: the driver gets another."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            name = f"insula-look-{self._module}"
            threading.Thread(target=_run, args=(self._loop,), name=name, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _connected(self) -> Link:
        if self._link is None:
            try:
                self._link = self._wait(self._connect())
            except Exception as error:
                raise self._address.explained(error) or error from error
        return self._link

    async def _connect(self) -> Link:
        settings = {"default_transaction_read_only": "on"}
        link = Link(await self._address.connect(f"insula look into {self._module}", settings), self._module)
        link.within = link.directly
        return link

    def _own(self, sql: str, *arguments: Any) -> list[Any]:
        link = self._connected()
        try:
            rows: list[Any] = self._wait(link.connection.fetch(sql, *arguments))
        except Exception as error:
            raise self._explained(error) from error
        return rows

    def _explained(self, error: Exception) -> Exception:
        """What to say of an error; a connection that was lost is made again for whoever asks next."""
        if is_lost(error):
            self.close()
            return ConfigurationError(f"{self.place}: the connection was lost ({original(error)}); ask again")
        if isinstance(error, asyncpg.PostgresError):
            return ConfigurationError(f"{self.place}: {error}; has the system run here?")
        return error

    def exists(self) -> bool:
        """Whether Insula's tables are there."""
        return "insula_migration" in columns_of(self._own(COLUMNS))

    def faults(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        """Why the module would not start on the database, a line each."""
        try:
            present = columns_of(self._own(COLUMNS))
        except ConfigurationError as error:
            return [str(error)]
        if "insula_migration" not in present:
            return []
        found = []
        for owner, folder in [
            (FRAMEWORK_OWNER, FRAMEWORK),
            *([] if migrations is None else [(self._module, migrations)]),
        ]:
            try:
                pending(found_in(folder, owner), [Applied(*row) for row in self._own(_APPLIED, owner)], owner)
            except ConfigurationError as error:
                found.append(str(error))
        if tables is not None and migrations is None:
            found += missing_columns(present, tables, self.place)
        return found

    def result(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """What a statement that reads finds."""
        connection = self._connected().sql
        try:
            return connection.execute(executable(statement), parameters)
        except DBAPIError as error:  # the statement is the caller's, and so is what it does wrong
            if not is_lost(error):
                raise
            raise self._explained(error) from error

    def log(self, after: int, limit: int) -> Sequence[Envelope]:
        """So much of the log after a position."""
        return [envelope_of(row, self._module) for row in self._own(_LOG, after, limit)]

    def parked(self) -> Sequence[Parked]:
        """Parked messages, dead letters among them."""
        return [parked_of(row) for row in self._own(PARKED_ALL)]

    def taken(self, message_id: str) -> Sequence[tuple[str, Answer, datetime]]:
        """Which consumers took a message, how it ended and when."""
        return [(row[0], answer_of((row[1], row[2], "")), row[3]) for row in self._own(_TAKEN, message_id)]

    def delayed(self) -> Sequence[Timer]:
        """Commands sent that are not due yet."""
        return [timer_of(row) for row in self._own(_DELAYED)]

    def positions(self) -> Sequence[int]:
        """The positions that the log has, in order."""
        return [row[0] for row in self._own(_POSITIONS)]

    def rows_of(self, tables: MetaData) -> Iterator[Sequence[Any]]:
        """The rows of each of those tables that is there."""
        present = columns_of(self._own(COLUMNS))
        for table in tables.sorted_tables:
            if table.name in present:
                yield self._own(f'select * from "{table.name}"')

    def close(self) -> None:
        """Close the connection, and end the loop that it lived on."""
        loop, link, self._loop, self._link = self._loop, self._link, None, None
        if loop is None:
            return
        try:
            if link is not None:
                asyncio.run_coroutine_threadsafe(_hang_up(link), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)


async def _hang_up(link: Link) -> None:
    with suppress(Exception):  # it is gone, or the server is: then nobody has to be told
        await link.connection.close(timeout=1)
    link.connection.terminate()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()
