"""Spreads work over the processes that run the same modules: shares evenly, the rest to one of them, by leases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from insula.kernel.clock import Clock
from insula.messaging.failing import described
from insula.runtime.tenure import LEASE, LEASE_SECONDS, RENEW_SECONDS, LeasedDatabase, Tenure
from insula.store.lease import Present

_log = logging.getLogger("insula.runtime")

BEHIND = "behind"
"""What a process says of itself that others should work for: of an older version, or in trouble."""

_FIRST_TROUBLE_SECONDS = 10.0
_LONGEST_TROUBLE_SECONDS = 300.0


def in_charge(present: Sequence[Present]) -> list[str]:
    """Who works: all of one kind, that of whoever came first; those that are behind only where nobody else is."""
    kinds = [each.kind for each in present if each.kind != BEHIND] or [BEHIND]
    return sorted(each.holder for each in present if each.kind == kinds[0])


def fair(shares: int, holder: str, working: Sequence[str]) -> int:
    """How many of the shares a process should have, of which these, in order of their names, do the work."""
    if holder not in working:
        return 0
    each, left = divmod(shares, len(working))
    return each + (working.index(holder) < left)


class Sharing:
    """One process's part in it: it takes free shares as long as it has fewer than the others, and hands over the rest.

    Each share has a lease in every one of the databases, and so has the rest of the work. Who is there the first of
    them tells.

    Parameters: as those of `Tenure`; `begin` and `end` are told which work: 0 is the rest, 1 and so on are `shares`;
    `kind`, of the version of this process: those of another kind wait until the last one that works has gone.
    """

    def __init__(
        self,
        databases: Mapping[str, LeasedDatabase],
        holder: str,
        clock: Clock,
        shares: int,
        begin: Callable[[int], Coroutine[Any, Any, None]],
        end: Callable[[int, float], Awaitable[None]],
        *,
        kind: str = "",
    ) -> None:
        names = [LEASE, *(f"share {share} of {shares}" for share in range(shares))]
        self.tenures = [
            Tenure(
                databases, holder, clock, partial(begin, number), partial(end, number), lease=name,
                admission=self._share_admission if number else self._admission, failed=self.in_trouble,
            )
            for number, name in enumerate(names)
        ]  # fmt: skip
        self._first = databases[min(databases)]
        self._holder = holder
        self._clock = clock
        self._kind = kind
        self._target = 0
        self._works = False
        self._one_at_a_time = asyncio.Lock()
        self._behind_until = 0.0
        self._trouble_seconds = _FIRST_TROUBLE_SECONDS

    @asynccontextmanager
    async def _admission(self) -> AsyncIterator[bool]:
        yield self._works

    @asynccontextmanager
    async def _share_admission(self) -> AsyncIterator[bool]:
        async with self._one_at_a_time:
            yield len(self._held()) < self._target

    def _held(self) -> list[Tenure]:
        return [tenure for tenure in self.tenures[1:] if tenure.holds]

    def fall_behind(self) -> None:
        """Leave everything to the others, if there are any: they are of a newer version, which knows every message."""
        if self._behind_until != float("inf"):
            _log.warning("%s leaves messages to other processes, if there are any", self._holder)
        self._behind_until = float("inf")

    def in_trouble(self) -> None:
        """The same for a while, longer each time: something could not be begun here, or has ended by itself."""
        now = self._clock.monotonic()
        if now < self._behind_until:
            return
        self._behind_until = now + self._trouble_seconds
        self._trouble_seconds = min(2 * self._trouble_seconds, _LONGEST_TROUBLE_SECONDS)

    def look(self) -> None:
        """See at once whether the leases are ours still: a database has moved, and where it is now nobody has any."""
        for tenure in self.tenures:
            tenure.look()

    async def run(self) -> None:
        """Until cancelled; whoever cancels it ends what was begun and calls `release`."""
        await self._count()
        runs = [asyncio.create_task(each) for each in (self._keep_counting(), *(each.run() for each in self.tenures))]
        try:
            ended, _ = await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
            for run in ended:  # none of them ends by itself, but by a mistake of ours
                run.result()
        finally:
            for run in runs:
                run.cancel()
            await asyncio.gather(*runs, return_exceptions=True)

    async def _keep_counting(self) -> None:
        while True:
            await self._clock.sleep(RENEW_SECONDS)
            await self._count()

    async def _count(self) -> None:
        """Say that we are there, see who is, and hand over what is more than our part."""
        now = self._clock.monotonic()
        kind = BEHIND if now < self._behind_until else self._kind
        if now > self._behind_until + _LONGEST_TROUBLE_SECONDS:
            self._trouble_seconds = _FIRST_TROUBLE_SECONDS
        try:
            present = await self._first.leases.present(self._holder, kind, LEASE_SECONDS)
        except Exception as error:  # the leases run out by themselves, if it does not answer at all
            _log.warning("%s: who else is there: %s", self._holder, described(error))
            return
        working = in_charge(present)
        self._works, self._target = self._holder in working, fair(len(self.tenures) - 1, self._holder, working)
        surplus = self._held()[self._target :]
        for tenure in surplus if self._works else [self.tenures[0], *surplus]:
            if tenure.holds:
                tenure.hand_over()

    async def release(self) -> None:
        """Give every lease back, and count no more."""
        for tenure in self.tenures:
            await tenure.release()
        try:
            await self._first.leases.present(self._holder, self._kind, 0)
        except Exception as error:  # that runs out as well
            _log.warning("%s: %s", self._holder, described(error))
