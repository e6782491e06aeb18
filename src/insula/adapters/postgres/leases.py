"""Leases in a module's database, by the server's clock. Implements `insula.store.lease.Leases`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from insula.adapters.postgres.errors import failure_of
from insula.adapters.postgres.pool import Pool
from insula.store.lease import Lease, Present

_ACQUIRE = "select taken, ends from insula_take_lease($1, $2, $3)"
_RENEW = (
    "update insula_lease set until = clock_timestamp() + make_interval(secs => $3)"
    " where name = $1 and token = $2 and until >= clock_timestamp() returning token, until"
)
# The row stays: its token is what the next one is counted from.
_RELEASE = "update insula_lease set until = '-infinity' where name = $1 and token = $2"
_PRESENT = "select process, its_kind from insula_be_present($1, $2, $3)"


class PostgresLeases:
    """Parameters: `pool`, of links that may write; `database`, whose, for errors."""

    def __init__(self, pool: Pool, database: str) -> None:
        self._pool = pool
        self._database = database

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """The lease if it is free, has run out, or is the holder's already; None while another has it.

        Raises ValueError for a time that is not positive, `Unavailable` when the database does not answer.
        """
        _check(seconds)
        row = await self._row(_ACQUIRE, name, holder, seconds)
        return None if row is None else Lease(name, holder, row[0], row[1])

    async def renew(self, lease: Lease, seconds: float) -> Lease | None:
        """The same lease for so many seconds from now; None when it was lost."""
        _check(seconds)
        row = await self._row(_RENEW, lease.name, lease.token, seconds)
        return None if row is None else Lease(lease.name, lease.holder, row[0], row[1])

    async def release(self, lease: Lease) -> None:
        """Give it back; harmless when it was lost."""
        await self._row(_RELEASE, lease.name, lease.token)

    async def present(self, holder: str, kind: str, seconds: float) -> Sequence[Present]:
        """Say that a process is there for so many seconds from now, or with 0 that it counts no more."""
        return [Present(row[0], row[1]) for row in await self._rows(_PRESENT, holder, kind, seconds)]

    async def _row(self, sql: str, *arguments: Any) -> Any:
        return next(iter(await self._rows(sql, *arguments)), None)

    async def _rows(self, sql: str, *arguments: Any) -> Sequence[Any]:
        link = await self._pool.take()
        try:
            rows = await link.connection.fetch(sql, *arguments)
        except BaseException as error:
            self._pool.give_unfinished(link)
            failure = failure_of(error, f"{self._database}: lease")
            if failure is None:
                raise
            raise failure from error
        self._pool.give(link)
        found: Sequence[Any] = rows
        return found


def _check(seconds: float) -> None:
    if seconds <= 0:
        raise ValueError(f"seconds={seconds!r}: a lease lasts for a positive time, such as 15.0")
