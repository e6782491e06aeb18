"""A database's leases in virtual time, as all processes of a test see them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from insula.kernel.errors import Unavailable
from insula.runtime.tenure import LEASE
from insula.store.lease import Lease, Present
from insula.testing import VirtualClock


class SharedDatabase:
    """It answers but while it is `away`; while it is `silent` nobody who renews hears anything."""

    def __init__(self, clock: VirtualClock) -> None:
        self.leases = self
        self.away = self.silent = False
        self._clock = clock
        self._held: dict[str, Lease] = {}
        self._there: dict[str, tuple[str, float]] = {}

    @property
    def lease(self) -> Lease | None:
        """That for what is not shared, as long as somebody holds it."""
        found = self._held.get(LEASE)
        return None if found is None or found.until < self._clock.now() else found

    def forget(self) -> None:
        """From now on nobody holds anything, as in a database to which a module has just moved."""
        for lease in list(self._held.values()):
            self._let_go(lease)

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        self._answer()
        before = self._held.get(name)
        if before is not None and before.until >= self._clock.now() and before.holder != holder:
            return None
        self._held[name] = Lease(name, holder, 1 if before is None else before.token + 1, self._until(seconds))
        return self._held[name]

    async def renew(self, lease: Lease, seconds: float) -> Lease | None:
        self._answer()
        if self.silent:
            await asyncio.Event().wait()
        held = self._held[lease.name]
        if held.token != lease.token or held.until < self._clock.now():
            return None
        self._held[lease.name] = Lease(lease.name, lease.holder, lease.token, self._until(seconds))
        return self._held[lease.name]

    async def release(self, lease: Lease) -> None:
        self._answer()
        if self._held[lease.name].token == lease.token:
            self._let_go(lease)

    async def present(self, holder: str, kind: str, seconds: float) -> Sequence[Present]:
        self._answer()
        now = self._clock.monotonic()
        self._there = {name: (of, until) for name, (of, until) in self._there.items() if until >= now}
        if seconds:
            self._there[holder] = kind, now + seconds
        else:
            self._there.pop(holder, None)
        return [Present(name, of) for name, (of, _) in self._there.items()]

    def _until(self, seconds: float) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)

    def _let_go(self, lease: Lease) -> None:
        """The row stays: its token is what the next one is counted from."""
        self._held[lease.name] = Lease(lease.name, lease.holder, lease.token, self._until(-1))

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("the database does not answer")
