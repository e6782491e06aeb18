"""Lets one of several processes that run the same modules do what only one may do at a time, by leases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context, copy_context
from typing import Any, Protocol, TypeVar

from insula.kernel.clock import Clock
from insula.messaging.failing import described
from insula.messaging.waiting import Signal
from insula.store.lease import Lease, Leases, act_for

_log = logging.getLogger("insula.runtime")

Value = TypeVar("Value")
Admission = Callable[[], AbstractAsyncContextManager[bool]]

LEASE = "background"
LEASE_SECONDS = 9.0
"""How long a process that is not heard of any more holds up the others."""

RENEW_SECONDS = LEASE_SECONDS / 3
_ENDING_SECONDS = 1.0
"""So long before its lease runs out a process that cannot renew it ends: before another one may begin."""

_HAND_OVER_SECONDS = 2.0
"""How long handlers under way may take when another process is to go on, while the lease is still ours."""

_LOOK_SECONDS = 1.0

_AWAY_SECONDS = 3 * _LOOK_SECONDS
"""So long a process that cannot go on leaves the leases to others."""


class LeasedDatabase(Protocol):
    """A database that several processes may open at a time."""

    @property
    def leases(self) -> Leases:
        """Who may do what alone."""
        ...


def _nothing() -> None:
    """Nobody wants to know."""


@asynccontextmanager
async def _always() -> AsyncIterator[bool]:
    yield True


class Tenure:
    """Runs `begin` once this process holds the lease in every one of the databases, and `end` when it has lost one.

    A process that was away for longer than its lease, and does not know it yet, still cannot store anything on its
    strength: the databases refuse what comes with an old fencing token.

    Parameters: `databases`, by module; `holder`, the name of this process, the same after a restart; `begin`, which is
    cancelled when a lease is lost meanwhile, and `end`, which may come where nothing was begun, and is told how many
    seconds handlers under way may take; both, and what they begin, store on the strength of the leases. `lease`, the
    name; `admission`, asked each time before the leases are (default: always admitted); `failed`, called when leases
    could not be asked for, or what they are for could not be begun.
    """

    def __init__(
        self,
        databases: Mapping[str, LeasedDatabase],
        holder: str,
        clock: Clock,
        begin: Callable[[], Coroutine[Any, Any, None]],
        end: Callable[[float], Awaitable[None]],
        *,
        lease: str = LEASE,
        admission: Admission = _always,
        failed: Callable[[], None] = _nothing,
    ) -> None:
        self._databases = [databases[name] for name in sorted(databases)]  # all in one order: nobody waits in a circle
        self._holder = holder
        self._claimed_as = holder
        self._clock = clock
        self._begin = begin
        self._end = end
        self._lease = lease
        self._admission = admission
        self._failed = failed
        self._context: Context | None = None
        self._held: Sequence[Lease] = ()
        self._until = 0.0
        self._awake = Signal()
        self._gives_way = False
        self._hands_over = False
        self._is_lost = False

    @property
    def holds(self) -> bool:
        """Whether the leases are ours, as far as we know."""
        return bool(self._held)

    def look(self) -> None:
        """Renew the leases now: those that are lost are to be asked for again."""
        self._awake.set()

    def hand_over(self) -> None:
        """Let another process have the leases; whether this one takes them again admission decides."""
        self._hands_over = True
        self._awake.set()

    async def within(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Do something on the strength of the leases last held."""
        return await asyncio.create_task(work, context=self._context)

    def give_up(self) -> None:
        """Let another process have the leases for a while, since this one cannot go on. Alone, it begins anew."""
        self._gives_way = True
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled; whoever cancels it ends what was begun and calls `release`."""
        while True:
            try:
                if await self._admitted():
                    self._gives_way = self._hands_over = self._is_lost = False
                    await self._served()
            except Exception as error:
                _log.warning("%s: lease (%s): %s", self._holder, self._lease, described(error))
                self._failed()
            if self._held:
                await self._ended()
                await self.release()
            away, self._gives_way = self._gives_way, False
            await self._clock.sleep(_AWAY_SECONDS if away else _LOOK_SECONDS)

    async def _ended(self) -> None:
        async def end() -> None:
            await self._end(0.0 if self._is_lost else _HAND_OVER_SECONDS)

        try:
            await self.within(end())
        except Exception as error:  # whatever it is, the leases must be given back
            _log.warning("%s: lease (%s): %s", self._holder, self._lease, described(error))

    async def _admitted(self) -> bool:
        async with self._admission() as admitted:
            return admitted and await self._acquired()

    async def _acquired(self) -> bool:
        """Whether every lease is ours now; if not, none is, or those that are held are to be given back."""
        asked, self._held, context = self._clock.monotonic(), (), copy_context()
        for database in self._databases:
            leases = database.leases
            lease = await leases.acquire(self._lease, self._claimed_as, LEASE_SECONDS)
            if lease is None:
                await self.release()
                return False
            self._held = (*self._held, lease)
            context.run(act_for, leases, lease)
        self._until = asked + LEASE_SECONDS - _ENDING_SECONDS
        self._context = context
        return True

    async def _served(self) -> None:
        """Begin, however long that takes, and keep the leases meanwhile and from then on."""
        over = asyncio.create_task(self._renewed()), asyncio.create_task(self._run_out())
        beginning = asyncio.create_task(self._begin(), context=self._context)
        try:
            await asyncio.wait((*over, beginning), return_when=asyncio.FIRST_COMPLETED)
            if beginning.done():
                beginning.result()
                _log.info("%s moves messages now (%s)", self._holder, self._lease)
                await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*over, beginning):
                task.cancel()
            await asyncio.gather(*over, beginning, return_exceptions=True)

    async def _run_out(self) -> None:
        """Until the leases have not been renewed in time: who gets no answer has lost them as well."""
        while (seconds := self._until - self._clock.monotonic()) > 0:
            await self._clock.sleep(seconds)
        self._lost()

    async def _renewed(self) -> None:
        """Renew the leases in time, again and again; return when one is lost, or another should have it."""
        while True:
            await self._pause(RENEW_SECONDS)
            if self._hands_over:
                return None
            if self._gives_way:
                _log.warning("%s gives way to another process, if there is one", self._holder)
                return self._stand_behind()
            asked = self._clock.monotonic()
            try:
                for database, lease in zip(self._databases, self._held, strict=True):
                    if await database.leases.renew(lease, LEASE_SECONDS) is None:
                        self._stand_behind()
                        return self._lost()
                self._until = asked + LEASE_SECONDS - _ENDING_SECONDS
            except Exception as error:
                _log.warning("%s: lease: %s", self._holder, described(error))

    def _stand_behind(self) -> None:
        """From now on do not take the leases from whoever has them, though it were under our own name.

        Only who is started again may: it takes the place of the one that ended. Two that live, of one name by mistake,
        would take them from each other for ever.
        """
        self._claimed_as = f"{self._holder} after {self._held[0].token}"

    async def _pause(self, seconds: float) -> None:
        if self._gives_way or self._hands_over:
            return
        self._awake.clear()
        timer = self._clock.call_at(self._clock.monotonic() + seconds, self._awake.set)
        try:
            await self._awake.wait()
        finally:
            timer.cancel()

    def _lost(self) -> None:
        self._is_lost = True
        _log.warning(
            "%s has lost its lease (%s): another process moves messages now, or will", self._holder, self._lease
        )  # fmt: skip

    async def release(self) -> None:
        """Give every lease back, so that another process need not wait; harmless when none is held."""
        held, self._held = self._held, ()
        for database, lease in zip(self._databases, held, strict=False):
            try:
                await database.leases.release(lease)
            except Exception as error:  # it runs out by itself
                _log.warning("%s: lease: %s", self._holder, described(error))
