"""Committed rows of a module's database, on connections that can change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Executable, Result, Row
from sqlalchemy.exc import DBAPIError

from insula.adapters.postgres.errors import failure_of, is_lost, is_read_only, original, table_missing
from insula.adapters.postgres.link import Link
from insula.adapters.postgres.pool import Pool
from insula.adapters.postgres.statements import denied
from insula.adapters.postgres.waiting import in_synchronous_code
from insula.store.errors import ReadOnly
from insula.store.unit_of_work import Parameters

Value = TypeVar("Value")

_ATTEMPTS = 2
"""A read changes nothing, so one that lost its connection is made once more."""


class Reader:
    """Reads.

    Parameters: `pool` of read-only links; `database`, whose; `owners`, table -> module, of others' tables, for errors.
    """

    def __init__(self, pool: Pool, database: str, owners: Mapping[str, str]) -> None:
        self._pool = pool
        self._database = database
        self._owners = owners
        self._loop = asyncio.get_running_loop()

    async def result(
        self, statement: Executable, parameters: Parameters = None, place: str | None = None
    ) -> Result[Any]:
        """Run a statement that reads, for the handler at `place`; raises `ReadOnly` when it would write."""

        def run(link: Link) -> Result[Any]:
            return link.sql.execute(statement, parameters)

        return await self._lending(lambda link: in_synchronous_code(run, link), place)

    async def rows(self, statement: Executable, parameters: Parameters = None) -> Sequence[Row[Any]]:
        """All rows of a statement that reads."""
        return (await self.result(statement, parameters)).all()

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """All rows of a framework's own statement."""

        async def run(link: Link) -> Sequence[Any]:
            rows: Sequence[Any] = await link.connection.fetch(sql, *arguments)
            return rows

        return await self._lending(run, None)

    def result_in_thread(
        self, statement: Executable, parameters: Parameters = None, place: str | None = None
    ) -> Result[Any]:
        """The same as `result` on the calling thread."""
        return asyncio.run_coroutine_threadsafe(self.result(statement, parameters, place), self._loop).result()

    async def _lending(self, read: Callable[[Link], Awaitable[Value]], place: str | None) -> Value:
        for attempt in range(_ATTEMPTS):
            link = await self._pool.take()
            link.within = _reading(link, place or self._database)
            try:
                value = await read(link)
            except BaseException as error:
                self._return(link, error)
                if not isinstance(error, Exception):
                    raise
                if is_lost(error) and attempt + 1 < _ATTEMPTS:
                    continue
                explained = self._explained(error, place)
                if explained is None:
                    raise
                raise explained from error
            self._pool.give(link)
            return value
        raise AssertionError("the last attempt returns or raises")

    def _return(self, link: Link, error: BaseException) -> None:
        if isinstance(error, (DBAPIError, asyncpg.PostgresError)) and not is_lost(error):
            self._pool.give(link)
        else:
            self._pool.give_unfinished(link)

    def _explained(self, error: Exception, place: str | None) -> Exception | None:
        where = place or self._database
        if is_read_only(error):
            return ReadOnly(f"{where}: a query changes nothing; make the message a Command ({original(error)})")
        return failure_of(error, where) or table_missing(error, where, self._owners)


def _reading(link: Link, place: str) -> Callable[..., Any]:
    def within(sql: str, action: Callable[..., Coroutine[Any, Any, Any]], arguments: tuple[Any, ...]) -> Any:
        reason = denied(sql)
        if reason is not None:
            raise ReadOnly(f"{place}: {reason}")
        return link.wait_for(action(*arguments))

    return within
