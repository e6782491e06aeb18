"""One connection to the server, and SQLAlchemy's view of it."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_connection,
    AsyncAdapt_asyncpg_cursor,
    PGDialect_asyncpg,
)
from sqlalchemy.pool import NullPool

from insula.adapters.postgres.waiting import wait_for
from insula.store.errors import UnitOver

STATEMENTS_CACHED = 512
STATEMENTS_COMPILED = 4096

Within = Callable[[str, Callable[..., Coroutine[Any, Any, Any]], tuple[Any, ...]], Any]
"""Runs one statement of user code: its text, the driver's coroutine function, and that one's arguments."""


class _Cursor(AsyncAdapt_asyncpg_cursor):
    """Everything that SQLAlchemy runs goes through its connection's `within`."""

    _adapt_connection: _Adapted

    def execute(self, operation: str, parameters: Any = None) -> Any:
        return self._adapt_connection.within(operation, self._prepare_and_execute, (operation, parameters))

    def executemany(self, operation: str, parameters: Any) -> Any:
        return self._adapt_connection.within(operation, self._executemany, (operation, parameters))


class _Adapted(AsyncAdapt_asyncpg_connection):
    """A connection whose transaction belongs to the framework: SQLAlchemy's commit, rollback and close do nothing."""

    __slots__ = ("within",)
    _cursor_cls = _Cursor

    def __init__(self, dbapi: Any, connection: Any) -> None:
        super().__init__(dbapi, connection, STATEMENTS_CACHED)  # type: ignore[no-untyped-call]  # the dialect's
        self._transaction: Any = self  # there is one, whatever it is: SQLAlchemy must begin none
        self.within: Within = outside

    def commit(self) -> None:
        """Nothing: the unit of work commits."""

    def rollback(self) -> None:
        """Nothing: the unit of work rolls back."""

    def close(self) -> None:
        """Nothing: the pool closes."""

    def terminate(self) -> None:
        """Nothing: the pool closes."""


class _Dialect(PGDialect_asyncpg):
    supports_statement_cache = True
    is_async = False  # the code that uses it is synchronous, and waits by itself

    def on_connect(self) -> None:
        """Nothing: a link sets up its codecs itself, once."""
        return


def outside(*_: Any) -> Any:
    """The `within` of a connection that no unit uses now."""
    raise UnitOver("this statement belongs to no unit of work, or to one that has ended; run it in its handler")


class Link:
    """A connection of a pool. Parameters: `connection`, the driver's; `place`, whose it is, for errors."""

    def __init__(self, connection: asyncpg.Connection, place: str) -> None:
        self.connection = connection
        self.loop = asyncio.get_running_loop()
        self.place = place
        self._adapted: _Adapted | None = None
        self._sql: SqlConnection | None = None
        self._within: Within = outside

    @property
    def is_closed(self) -> bool:
        """Whether the server is known to have gone."""
        return bool(self.connection.is_closed())

    @property
    def within(self) -> Within:
        """What runs the statements of user code."""
        return self._within

    @within.setter
    def within(self, within: Within) -> None:
        self._within = within
        if self._adapted is not None:
            self._adapted.within = within

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The value of `work`, in synchronous code."""
        return wait_for(work, self.loop, self.place)

    def directly(self, _: str, action: Callable[..., Coroutine[Any, Any, Any]], arguments: tuple[Any, ...]) -> Any:
        """A `within` for statements that are nobody's in particular."""
        return self.wait_for(action(*arguments))

    @property
    def sql(self) -> SqlConnection:
        """SQLAlchemy's connection, kept open for life. Synchronous code only: it asks the server a few things."""
        if self._sql is None or self._sql.invalidated:
            self._sql = self._opened()
        return self._sql

    def _opened(self) -> SqlConnection:
        engine = _engine()
        dialect: Any = engine.dialect
        if self._adapted is None:
            self._adapted = _Adapted(dialect.dbapi, self.connection)
            self.wait_for(dialect.setup_asyncpg_json_codec(self._adapted))
            self.wait_for(dialect.setup_asyncpg_jsonb_codec(self._adapted))
        _asked.connection, self._adapted.within = self._adapted, self.directly
        try:
            connection = engine.connect()
            if not hasattr(dialect, "insula_knows_server"):
                dialect.initialize(connection)
                dialect.insula_knows_server = True
            return connection
        finally:
            self._adapted.within = self._within

    def forget_sql(self) -> None:
        """SQLAlchemy takes its connection for broken after an error that was none of the database's: begin anew."""
        self._sql = None


_asked = threading.local()


@functools.cache
def _engine() -> Engine:
    """One for all connections, so that they share its compiled statements."""
    return create_engine(
        "postgresql+insula://",
        creator=lambda: _asked.connection,
        poolclass=NullPool,
        pool_reset_on_return=None,
        query_cache_size=STATEMENTS_COMPILED,
        hide_parameters=True,  # they are customers' data, and errors end up in logs
        # The engine would ask the server under a lock of threads; a second handler on the loop would wait for that
        # lock, and stop the loop that the first one waits for.
        _initialize=False,
    )


def _register() -> None:
    from sqlalchemy.dialects import registry

    registry.register("postgresql.insula", __name__, "_Dialect")


_register()
