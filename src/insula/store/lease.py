"""The port of leases: who may do a thing alone for a while, with a number by which the late are recognised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lease:
    """What `holder` has until then, by the database's clock.

    `token` grows with every new holding of `name`. Whoever acts on the strength of a lease passes it along, and what is
    acted on refuses a smaller one than it has seen (a fencing token: Kleppmann, "How to do distributed locking", 2016).
    """

    name: str
    holder: str
    token: int
    until: datetime


class Leases(Protocol):
    """Leases that all processes of a module see alike."""

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """The lease if it is free, has run out, or is the holder's already; None while another has it."""
        ...

    async def renew(self, lease: Lease, seconds: float) -> Lease | None:
        """The same lease for so many seconds from now; None when it was lost, and what it allowed must stop."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give it back; harmless when it was lost."""
        ...
