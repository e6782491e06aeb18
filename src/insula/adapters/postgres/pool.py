"""A bounded number of connections of one kind, made when they are needed and lent out in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import asyncpg

from insula.adapters.postgres.errors import failure_of
from insula.adapters.postgres.link import Link, outside
from insula.kernel.errors import Failure
from insula.store.errors import DatabaseUnavailable

_UNDO_SECONDS = 5.0


class Pool:
    """Lends links. Parameters: `connect`, makes a connection; `limit`, how many at once; `wait_seconds`, how long a
    caller waits for a free one before it is refused; `place`, whose they are, for errors.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[asyncpg.Connection]], limit: int, *, wait_seconds: float, place: str
    ) -> None:
        self._connect = connect
        self.limit = limit
        self.waits = self.refused = 0
        self.longest_wait_seconds = 0.0
        self._wait_seconds = wait_seconds
        self._place = place
        self._idle: list[Link] = []
        self._lent: set[Link] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._undoing: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def lent(self) -> int:
        """How many links are in use."""
        return len(self._lent)

    @property
    def open(self) -> int:
        """How many links there are."""
        return len(self._lent) + len(self._idle)

    async def take(self) -> Link:
        """A link for the caller alone, who gives it back.

        Raises `Unavailable` when none becomes free in time, or the server does not answer.
        """
        while True:
            if self._closing:
                raise Failure(f"{self._place} is closing")
            while self._idle:  # the one used last: those not needed stay idle
                link = self._idle.pop()
                if not link.is_closed:
                    self._lent.add(link)
                    return link
            if len(self._lent) + self._opening < self.limit:
                return await self._opened()
            await self._turn()

    async def _opened(self) -> Link:
        self._opening += 1
        try:
            link = Link(await self._connect(), self._place)
        except Exception as error:
            failure = failure_of(error, self._place)
            if failure is None:
                raise
            raise failure from error
        finally:
            self._opening -= 1
            self._wake()  # also where it failed: whoever waits tries, and hears why
        if self._closing:
            link.connection.terminate()
            raise Failure(f"{self._place} is closing")
        self._lent.add(link)
        return link

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiter)
        self.waits += 1
        began = loop.time()
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._wake()  # it was our turn, and somebody else's now
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            if isinstance(error, TimeoutError):
                self.refused += 1
                raise DatabaseUnavailable(
                    f"{self._place}: all {self.limit} connections were busy for {self._wait_seconds:g} s; make "
                    "handlers shorter, or raise store.connections",
                    retry_after=1.0,
                ) from None
            raise
        finally:
            self.longest_wait_seconds = max(self.longest_wait_seconds, loop.time() - began)

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def give(self, link: Link) -> None:
        """Take a link back that is in no transaction."""
        link.within = outside
        self._lent.discard(link)
        if link.is_closed or self._closing:
            link.connection.terminate()
        else:
            self._idle.append(link)
        self._wake()

    def give_unfinished(self, link: Link) -> None:
        """Take a link back in whatever state it is; nobody waits for it to be undone."""
        link.within = outside
        link.forget_sql()
        task = asyncio.get_running_loop().create_task(self._undo(link))
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def _undo(self, link: Link) -> None:
        try:
            await link.connection.execute("rollback", timeout=_UNDO_SECONDS)
        except Exception:  # whatever it is, a new connection is cheaper than finding out
            link.connection.terminate()
        finally:
            self.give(link)

    async def close(self) -> None:
        """Wait for what is lent, and close everything."""
        self._closing = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        if self._undoing:
            await asyncio.wait(self._undoing)
        for link in self._idle:
            try:
                await link.connection.close(timeout=_UNDO_SECONDS)
            except Exception:
                link.connection.terminate()
        self._idle.clear()
        self.let_go()

    def let_go(self) -> None:
        """Drop every connection at once."""
        self._closing = True
        for link in (*self._idle, *self._lent):
            link.connection.terminate()
        self._idle.clear()
