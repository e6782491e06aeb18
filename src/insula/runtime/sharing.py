"""Spreads the shares of what the broker brings over the processes that run the same modules, evenly, by leases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from insula.kernel.clock import Clock
from insula.messaging.failing import described
from insula.runtime.tenure import LEASE_SECONDS, RENEW_SECONDS, LeasedDatabase, Tenure

_log = logging.getLogger("insula.runtime")


def fair(shares: int, holder: str, present: Sequence[str]) -> int:
    """How many of the shares a process should have of which these processes are there, in order of their names."""
    each, left = divmod(shares, len(present))
    return each + (present.index(holder) < left)


class Sharing:
    """One process's part in it: it takes free shares as long as it has fewer than the others, and hands over the rest.

    Each share has a lease in every one of the databases. Who is there the first of them tells.

    Parameters: as those of `Tenure`; `begin` and `end` are told which share.
    """

    def __init__(
        self,
        databases: Mapping[str, LeasedDatabase],
        holder: str,
        clock: Clock,
        shares: int,
        begin: Callable[[int], Coroutine[Any, Any, None]],
        end: Callable[[int, float], Awaitable[None]],
    ) -> None:
        self.tenures = [
            Tenure(
                databases, holder, clock, partial(begin, share), partial(end, share),
                lease=f"share {share}", admission=self._admission,
            )
            for share in range(shares)
        ]  # fmt: skip
        self._first = databases[min(databases)]
        self._holder = holder
        self._clock = clock
        self._target = 0
        self._one_at_a_time = asyncio.Lock()
        self._is_behind = False

    @asynccontextmanager
    async def _admission(self) -> AsyncIterator[bool]:
        async with self._one_at_a_time:
            yield len(self._held()) < self._target

    def _held(self) -> list[Tenure]:
        return [tenure for tenure in self.tenures if tenure.holds]

    def fall_behind(self) -> None:
        """Leave all shares to the others, if there are any: they are of a newer version, which knows every message."""
        if not self._is_behind:
            _log.warning("%s leaves what the broker brings to other processes, if there are any", self._holder)
        self._is_behind = True

    async def run(self) -> None:
        """Until cancelled; whoever cancels it ends what was begun and calls `release`."""
        await self._count()
        runs = [asyncio.create_task(each) for each in (self._keep_counting(), *(each.run() for each in self.tenures))]
        try:
            await asyncio.wait(runs)
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
        try:
            present = await self._first.leases.present(self._holder, 0 if self._is_behind else LEASE_SECONDS)
        except Exception as error:  # the leases run out by themselves, if it does not answer at all
            _log.warning("%s: who else is there: %s", self._holder, described(error))
            return
        if self._is_behind:
            self._target = 0 if present else len(self.tenures)
        else:
            self._target = fair(len(self.tenures), self._holder, present)
        for tenure in self._held()[self._target :]:
            tenure.hand_over()

    async def release(self) -> None:
        """Give every lease back, and count no more."""
        for tenure in self.tenures:
            await tenure.release()
        try:
            await self._first.leases.present(self._holder, 0)
        except Exception as error:  # that runs out as well
            _log.warning("%s: %s", self._holder, described(error))
