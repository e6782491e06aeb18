"""Connections to one SQLite file: the writer, and readers that can change nothing."""

from __future__ import annotations

import functools
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from insula.store.errors import UnitOver

STATEMENTS_CACHED = 512
STATEMENTS_COMPILED = 4096
RESERVED_TABLES = "insula_"

_TRANSACTION_CONTROL = frozenset(
    (sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)
)
_CHANGES = frozenset((sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_DROP_TABLE))


class BufferedCursor(sqlite3.Cursor):
    """A cursor that fetches at once, so that no statement stays open over a savepoint or a commit.

    SQLAlchemy, and with it all user code, uses no other: whatever runs goes through the connection's `within`.
    """

    _buffer: Iterator[Any] = iter(())

    def execute(self, sql: str, parameters: Any = ()) -> BufferedCursor:
        self.connection.within(self._fetch, sql, parameters)  # type: ignore[attr-defined]  # always our Connection
        return self

    def executemany(self, sql: str, parameters: Any) -> BufferedCursor:
        self.connection.within(super().executemany, sql, parameters)  # type: ignore[attr-defined]  # as above
        return self

    def _fetch(self, sql: str, parameters: Any) -> None:
        super().execute(sql, parameters)
        self._buffer = iter(super().fetchall()) if self.description is not None else iter(())

    def fetchone(self) -> Any:
        return next(self._buffer, None)

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        return [row for row, _ in zip(self._buffer, range(size or 1), strict=False)]

    def fetchall(self) -> list[Any]:
        return list(self._buffer)


class Connection(sqlite3.Connection):
    """A connection whose transaction belongs to the framework: SQLAlchemy's commit, rollback and close do nothing.

    While `user_code` is true an authorizer refuses transaction control and changes to the framework's tables.
    Framework statements end in a comment of their own: SQLite asks the authorizer when a statement is
    prepared, and a prepared framework statement must not be found in the cache by a user's text.
    `within` runs every statement of user code: as it is for readers and migrations, and on the writer's connection
    by the unit that holds the turn, or not at all.
    """

    user_code = False
    denied: str | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.within: Callable[..., object] = _directly

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(BufferedCursor)

    def commit(self) -> None:
        """Nothing: the unit of work commits."""

    def rollback(self) -> None:
        """Nothing: the unit of work rolls back."""

    def close(self) -> None:
        """Nothing: `shut` closes, once SQLAlchemy has let go."""

    def shut(self) -> None:
        """Really close."""
        super().close()

    def authorize(
        self, action: int, first: str | None, second: str | None, _: str | None = None, trigger: str | None = None
    ) -> int:
        """The authorizer callback: what user SQL may prepare, and what it sets off."""
        if not self.user_code or (trigger is not None and trigger.startswith(RESERVED_TABLES)):
            return sqlite3.SQLITE_OK
        if action in _TRANSACTION_CONTROL:
            self.denied = "transaction control and ATTACH belong to the unit of work; remove the statement"
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_PRAGMA and second is not None:
            self.denied = f"PRAGMA {first} would change the connection that all units share; remove it"
            return sqlite3.SQLITE_DENY
        if action in _CHANGES and first is not None and first.startswith(RESERVED_TABLES):
            self.denied = f"table {first} belongs to Insula; use publish and send"
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK


def _directly(action: Callable[..., object], *arguments: Any) -> None:
    action(*arguments)


def outside(*_: Any) -> NoReturn:
    """The `within` of a connection that no unit uses now."""
    raise UnitOver("this statement belongs to no unit of work, or to one that has ended; run it in its handler")


def _address(path: Path, mode: str, *, sole_process: bool) -> str:
    # By SQLite's "unix-excl" the locks and the journal's index are in memory instead of in files that others can see.
    alone = "&vfs=unix-excl" if sole_process and os.name == "posix" else ""
    return f"file:{quote(os.path.abspath(path))}?mode={mode}{alone}"


def open_writer(path: Path, *, sole_process: bool = False) -> Connection:
    """Open the one connection that writes: WAL, every commit synced, foreign keys on, never blocking on a lock.

    Parameters: `sole_process`, for this and its readers, whether no other process looks at the file, which saves half
    of the system calls.
    """
    connection = sqlite3.connect(
        _address(path, "rwc", sole_process=sole_process), uri=True, isolation_level=None, check_same_thread=False,
        cached_statements=STATEMENTS_CACHED, timeout=0, factory=Connection,
    )  # fmt: skip
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("pragma foreign_keys=on")
    connection.set_authorizer(connection.authorize)
    return connection


def open_reader(path: Path, *, sole_process: bool = False) -> Connection:
    """Open a connection that can only read; it sees committed rows."""
    connection = sqlite3.connect(
        _address(path, "ro", sole_process=sole_process), uri=True, isolation_level=None, check_same_thread=False,
        cached_statements=STATEMENTS_CACHED, timeout=5, factory=Connection,
    )  # fmt: skip
    connection.execute("pragma query_only=on")
    connection.set_authorizer(connection.authorize)
    connection.user_code = True
    return connection


def sqlalchemy_connection(connection: Connection) -> SqlConnection:
    """A SQLAlchemy connection over ours, kept open for life; its transactions are empty shells."""
    _asked.connection = connection
    return _engine().connect()


_asked = threading.local()


@functools.cache
def _engine() -> Engine:
    """One for all files: making one costs more than opening a file, and all may share its compiled statements."""
    return create_engine(
        "sqlite+pysqlite://",
        creator=lambda: _asked.connection,
        poolclass=NullPool,
        pool_reset_on_return=None,
        query_cache_size=STATEMENTS_COMPILED,
        hide_parameters=True,  # they are customers' data, and errors end up in logs
    )


@contextmanager
def interrupted_when(connection: Connection, stop: Callable[[], bool], every: int) -> Iterator[None]:
    """Interrupt statements on `connection` when `stop()` is true, asked every `every` virtual machine steps."""
    connection.set_progress_handler(stop, every)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
