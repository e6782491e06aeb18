"""Lets one of several processes that run the same modules do what only one may do at a time, by leases."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from insula.kernel.clock import Clock
from insula.messaging.failing import described
from insula.messaging.waiting import Signal
from insula.store.lease import Lease, Leases

_log = logging.getLogger("insula.runtime")

LEASE = "background"
LEASE_SECONDS = 9.0
"""How long a process that is not heard of any more holds up the others."""

_RENEW_SECONDS = LEASE_SECONDS / 3
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

    Parameters: `databases`, by module; `holder`, the name of this process, the same after a restart; `begin` and `end`.
    """

    def __init__(
        self,
        databases: Mapping[str, LeasedDatabase],
        holder: str,
        clock: Clock,
        begin: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        self._databases = [databases[name] for name in sorted(databases)]  # all in one order: nobody waits in a circle
        self._holder = holder
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
            self._gives_way = True
            self._awake.set()

    async def run(self) -> None:
        """Until cancelled; whoever cancels it ends what was begun and calls `release`."""
        while True:
            try:
                if await self._acquired():
                    self._gives_way = False
                    _log.info("%s moves messages now", self._holder)
                    await self._begin()
                    await self._renewed()
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
        """Whether every lease is ours now; if not, none is."""
        asked, held = self._clock.monotonic(), list[Lease]()
        for database in self._databases:
            lease = await database.leases.acquire(LEASE, self._holder, LEASE_SECONDS)
            if lease is None:
                self._held = held
                await self.release()
                return False
            held.append(lease)
        self._held, self._until = held, asked + LEASE_SECONDS
        for database, lease in zip(self._databases, held, strict=True):
            database.act_for(lease)
        return True

    async def _renewed(self) -> None:
        """Renew the leases in time, again and again; return when one is lost, or may be, or another should have it."""
        while True:
            await self._pause(_RENEW_SECONDS)
            if self._gives_way:
                _log.warning("%s gives way to a newer version, if there is one", self._holder)
                return None
            asked = self._clock.monotonic()
            if asked >= self._until:
                return self._lost()
            try:
                for database, lease in zip(self._databases, self._held, strict=True):
                    if await database.leases.renew(lease, LEASE_SECONDS) is None:
                        return self._lost()
                self._until = asked + LEASE_SECONDS
            except Exception as error:
                _log.warning("%s: lease: %s", self._holder, described(error))

    async def _pause(self, seconds: float) -> None:
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
