"""Reads on connections of their own: short ones inline, long ones on a thread, so that neither stops the writer."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Executable, Result, Row
from sqlalchemy.exc import DBAPIError

from insula.adapters.sqlite.connection import Connection, interrupted_when, open_reader, sqlalchemy_connection
from insula.adapters.sqlite.errors import machine_failure, primary_code, table_missing
from insula.kernel.clock import Clock
from insula.kernel.errors import Failure
from insula.store.errors import ReadOnly
from insula.store.unit_of_work import Parameters

Value = TypeVar("Value")

INLINE_STEPS = 20_000
"""Virtual machine steps a read may take on the loop, about a millisecond; a longer one starts over on a thread."""

_STEPS_BETWEEN_CHECKS = 100_000
_THREADS = 4


class Reader:
    """Committed rows of one SQLite file."""

    def __init__(
        self,
        path: Path,
        database: str,
        clock: Clock,
        *,
        query_timeout_seconds: float,
        owners: Mapping[str, str] | None = None,
        sole_process: bool = False,
    ) -> None:
        self._path = path
        self._sole_process = sole_process
        self._database = database
        self._clock = clock
        self._owners = owners or {}
        self._query_timeout_seconds = query_timeout_seconds
        self._inline = self._open()
        self._inline.set_progress_handler(_always, INLINE_STEPS)
        self._execute = sqlite3.Cursor(self._inline).execute  # for the framework's own statements
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"insula-read-{database}")
        self._local = threading.local()
        self._opened: list[Connection] = [self._inline]

    def _open(self) -> Connection:
        return open_reader(self._path, sole_process=self._sole_process)

    @cached_property
    def _sql(self) -> SqlConnection:
        return sqlalchemy_connection(self._inline)  # for those who query; many modules only hear events

    async def result(
        self, statement: Executable, parameters: Parameters = None, place: str | None = None
    ) -> Result[Any]:
        """Run a statement that reads, for the handler at `place`; raises `ReadOnly` when it would write."""
        try:
            return self._sql.execute(statement, parameters)
        except (DBAPIError, OverflowError) as error:
            if primary_code(error) != sqlite3.SQLITE_INTERRUPT:
                raise self._explained(error, place) from error
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.result_in_thread, statement, parameters, place)

    async def rows(self, statement: Executable, parameters: Parameters = None) -> Sequence[Row[Any]]:
        """All rows of a statement that reads."""
        return (await self.result(statement, parameters)).all()

    async def fetch(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """All rows of a framework's own statement."""
        try:
            return self._execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            if primary_code(error) != sqlite3.SQLITE_INTERRUPT:
                raise self._explained(error, None) from error
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._fetch_in_thread, sql, parameters)

    def _fetch_in_thread(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        def fetch(connection: Connection, _: SqlConnection) -> Sequence[Any]:
            return sqlite3.Cursor(connection).execute(sql, parameters).fetchall()

        return self._bounded(fetch, None)

    def result_in_thread(
        self, statement: Executable, parameters: Parameters = None, place: str | None = None
    ) -> Result[Any]:
        """The same as `result` on the calling thread's own connection, bounded in time."""
        return self._bounded(lambda _, sql: sql.execute(statement, parameters), place)

    def _bounded(self, read: Callable[[Connection, SqlConnection], Value], place: str | None) -> Value:
        if not hasattr(self._local, "sql"):
            connection = self._open()
            self._opened.append(connection)
            self._local.connection, self._local.sql = connection, sqlalchemy_connection(connection)
        deadline = self._clock.monotonic() + self._query_timeout_seconds
        connection = self._local.connection
        with interrupted_when(connection, lambda: self._clock.monotonic() > deadline, _STEPS_BETWEEN_CHECKS):
            try:
                return read(connection, self._local.sql)
            except (DBAPIError, sqlite3.Error, OverflowError) as error:
                if primary_code(error) == sqlite3.SQLITE_INTERRUPT:
                    limit = f"longer than {self._query_timeout_seconds:g} s"
                    raise Failure(f"{self._database}: a query took {limit} and was stopped; add an index") from error
                raise self._explained(error, place) from error

    def _explained(self, error: DBAPIError | sqlite3.Error | OverflowError, place: str | None) -> Exception:
        where = place or self._database
        if primary_code(error) in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH):
            reason = getattr(error, "orig", error)
            return ReadOnly(f"{where}: a query changes nothing; make the message a Command ({reason})")
        return machine_failure(error, self._database) or table_missing(error, where, self._owners) or error

    def close(self) -> None:
        """Close every connection, after running reads have ended."""
        self._threads.shutdown()
        self.let_go()

    def let_go(self) -> None:
        """Close every connection at once."""
        for connection in self._opened:
            connection.shut()


def _always() -> bool:
    return True
