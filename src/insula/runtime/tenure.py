"""Lets one of several processes that run the same modules do what only one may do at a time, by leases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from insula.kernel.clock import Clock
from insula.messaging.failing import described
from insula.messaging.waiting import Signal
from insula.store.lease import Lease, Leases

_log = logging.getLogger("insula.runtime")

LEASE = "background"
LEASE_SECONDS = 9.0
"""How long a process that is not heard of any more holds up the others."""

_RENEW_SECONDS = LEASE_SECONDS / 3
_ENDING_SECONDS = 1.0
"""So long before its lease runs out a process that cannot renew it ends: before another one may begin."""

_LOOK_SECONDS = 1.0

_AWAY_SECONDS = 3 * _LOOK_SECONDS
_FIRST_STAY_SECONDS = 30.0
_LONGEST_STAY_SECONDS = 600.0
"""How long whoever has given way in vain moves messages before it gives way again."""


@runtime_checkable
class LeasedDatabase(Protocol):
    """A database that several processes may open at a time."""

    @property
    def leases(self) -> Leases:
        """Who may do what alone."""
        ...

    def act_for(self, lease: Lease | None) -> None:
        """From now on store what only the holder may store for this lease, until somebody else takes it."""
        ...


class Tenure:
    """Runs `begin` once this process holds the lease in every one of the databases, and `end` when it has lost one.

    A process that was away for longer than its lease, and does not know it yet, still cannot store anything on its
    strength: the databases refuse what comes with an old fencing token.

    Parameters: `databases`, by module; `holder`, the name of this process, the same after a restart; `begin`, which is
    cancelled when a lease is lost meanwhile, and `end`, which may come where nothing was begun.
    """

    def __init__(
        self,
        databases: Mapping[str, LeasedDatabase],
        holder: str,
        clock: Clock,
        begin: Callable[[], Coroutine[Any, Any, None]],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        self._databases = [databases[name] for name in sorted(databases)]  # all in one order: nobody waits in a circle
        self._holder = holder
        self._claimed_as = holder
        self._clock = clock
        self._begin = begin
        self._end = end
        self._held: Sequence[Lease] = ()
        self._until = 0.0
        self._awake = Signal()
        self._gives_way = False
        self._stays_until = 0.0
        self._stay_seconds = _FIRST_STAY_SECONDS

    def give_way(self) -> None:
        """Let another process move messages, if there is one: it may be of a newer version, which knows them all."""
        if self._clock.monotonic() >= self._stays_until:
            self.give_up()

    def give_up(self) -> None:
        """The same for a process that cannot go on: at once, and however often. Alone, it begins anew."""
        self._gives_way = True
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled; whoever cancels it ends what was begun and calls `release`."""
        while True:
            try:
                if await self._acquired():
                    self._gives_way = False
                    _log.info("%s moves messages now", self._holder)
                    await self._served()
            except Exception as error:
                _log.warning("%s: lease: %s", self._holder, described(error))
            if self._held:
                await self._end()
                await self.release()
            await self._clock.sleep(self._seconds_away())

    def _seconds_away(self) -> float:
        """How long to leave the leases to others."""
        if not self._gives_way:
            return _LOOK_SECONDS
        self._stays_until = self._clock.monotonic() + self._stay_seconds
        self._stay_seconds = min(2 * self._stay_seconds, _LONGEST_STAY_SECONDS)
        self._gives_way = False
        return _AWAY_SECONDS

    async def _acquired(self) -> bool:
        """Whether every lease is ours now; if not, none is, or those that are held are to be given back."""
        asked, self._held = self._clock.monotonic(), ()
        for database in self._databases:
            lease = await database.leases.acquire(LEASE, self._claimed_as, LEASE_SECONDS)
            if lease is None:
                await self.release()
                return False
            self._held = (*self._held, lease)
        self._until = asked + LEASE_SECONDS - _ENDING_SECONDS
        for database, lease in zip(self._databases, self._held, strict=True):
            database.act_for(lease)
        return True

    async def _served(self) -> None:
        """Begin, however long that takes, and keep the leases meanwhile and from then on."""
        over = asyncio.create_task(self._renewed()), asyncio.create_task(self._run_out())
        beginning = asyncio.create_task(self._begin())
        try:
            await asyncio.wait((*over, beginning), return_when=asyncio.FIRST_COMPLETED)
            if beginning.done():
                beginning.result()
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
            await self._pause(_RENEW_SECONDS)
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
        if self._gives_way:
            return
        self._awake.clear()
        timer = self._clock.call_at(self._clock.monotonic() + seconds, self._awake.set)
        try:
            await self._awake.wait()
        finally:
            timer.cancel()

    def _lost(self) -> None:
        _log.warning("%s has lost its lease: another process moves messages now, or will", self._holder)

    async def release(self) -> None:
        """Give every lease back, so that another process need not wait; harmless when none is held."""
        held, self._held = self._held, ()
        for database, lease in zip(self._databases, held, strict=False):
            try:
                await database.leases.release(lease)
            except Exception as error:  # it runs out by itself
                _log.warning("%s: lease: %s", self._holder, described(error))
