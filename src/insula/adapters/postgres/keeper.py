"""The one connection that a process keeps open: it holds the module's database for itself, and hears of the others.

A second process would handle messages of one key beside the first one, so it is refused, as on SQLite. The server
lets go when the connection ends, however the process ended. Notifications are sent here, outside of every other
transaction, one for all that happened meanwhile; they may get lost, so whoever follows the log looks now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import asyncpg

from insula.adapters.postgres.errors import failure_of, is_lost
from insula.kernel.errors import Failure, InsulaError
from insula.store.errors import AlreadyOpen

_log = logging.getLogger("insula.postgres")

CHANNEL = "insula_log"

_CLAIM = "select pg_try_advisory_lock(hashtextextended('insula_process', 0))"
_OWNER = (
    "select a.application_name, a.client_addr::text from pg_locks l join pg_stat_activity a on a.pid = l.pid"
    " where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database())"
    " and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('insula_process', 0) and l.granted"
)
_NOTIFY = "select pg_notify($1, $2)"
_LONGEST_PAYLOAD = 7000

_TRIES = 40
_TRY_AGAIN_SECONDS = 0.1
_NOTIFY_AFTER_SECONDS = 0.05
_LOOK_SECONDS = 1.0
_UNHEARD_SECONDS = 20.0
"""After which the log may have grown without a word: a process that dies tells nobody of its last commit."""


class Keeper:
    """Parameters: `connect`; `database`, whose; `alone`, False to let other processes of the module in; `on_grown`,
    called with the types that another process has appended, none when it is not known which.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        database: str,
        on_grown: Callable[[frozenset[str]], None],
        *,
        alone: bool = True,
    ) -> None:
        self._connect = connect
        self._database = database
        self._alone = alone
        self._on_grown = on_grown
        self._connection: asyncpg.Connection | None = None
        self._types: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._grown = asyncio.Event()
        self.refused: Failure | None = None
        """Why units are refused: another process has taken the database while the connection was lost."""

    async def start(self) -> None:
        """Claim the database. Raises `AlreadyOpen`, and what `connect` raises."""
        self._connection = await self._claimed()
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def _claimed(self) -> asyncpg.Connection:
        connection = await self._connect()
        try:
            for _ in range(_TRIES):  # whoever has just been killed is noticed within moments
                if not self._alone or await connection.fetchval(_CLAIM):
                    await connection.execute("set synchronous_commit = off")
                    await connection.add_listener(CHANNEL, self._heard)
                    connection.add_termination_listener(lambda _: self._lost.set())
                    return connection
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
            owner = await connection.fetchrow(_OWNER)
            name = "another process" if owner is None else f"{owner[0]} at {owner[1] or 'this machine'}"
            raise AlreadyOpen(f"{self._database}: {name} has this database open; stop it, or use another database")
        except BaseException:
            connection.terminate()
            raise

    def _heard(self, connection: asyncpg.Connection, pid: int, _: str, payload: object) -> None:
        if pid != connection.get_server_pid():
            self._on_grown(frozenset(str(payload).split("\n")) - {""})

    def appended(self, types: set[str]) -> None:
        """Tell the other processes, soon."""
        self._types |= types
        self._grown.set()

    async def _keep(self) -> None:
        while True:
            if self._lost.is_set():
                await self._again()
            waiting = asyncio.ensure_future(self._grown.wait())
            losing = asyncio.ensure_future(self._lost.wait())
            try:
                limit = None if self._alone else _UNHEARD_SECONDS
                done, _ = await asyncio.wait((waiting, losing), return_when=asyncio.FIRST_COMPLETED, timeout=limit)
            finally:
                waiting.cancel()
                losing.cancel()
            if not done:
                self._on_grown(frozenset())
            if self._grown.is_set():
                await asyncio.sleep(_NOTIFY_AFTER_SECONDS)
                await self._notify()

    async def _notify(self) -> None:
        types, self._types = self._types, set()
        self._grown.clear()
        payload = "\n".join(sorted(types))
        if len(payload.encode()) > _LONGEST_PAYLOAD:
            payload = ""
        try:
            if self._connection is not None and not self._lost.is_set():
                await self._connection.execute(_NOTIFY, CHANNEL, payload)
        except Exception as error:
            if not is_lost(error):
                _log.warning("%s: notification: %s", self._database, error)

    async def _again(self) -> None:
        """Connect once more; until then nobody else is noticed, and the database is ours only by luck."""
        while True:
            try:
                self._lost.clear()
                self._connection = await self._claimed()
                self.refused = None
                self._on_grown(frozenset())
                return
            except AlreadyOpen as error:
                _log.critical("%s", error)
                self.refused = Failure(str(error))
            except Exception as error:
                _log.warning("%s", failure_of(error, self._database) or error)
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Let go of the database."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._connection is not None and not self._connection.is_closed():
            try:
                await self._connection.close(timeout=1)
            except Exception as error:
                if isinstance(error, InsulaError):
                    raise
                self._connection.terminate()

    def let_go(self) -> None:
        """Drop the connection at once."""
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            self._connection.terminate()
