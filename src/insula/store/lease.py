"""The port of leases: who may do a thing alone for a while, with a number by which the late are recognised.

What a task stores it stores on the strength of the leases of its context: those that `act_for` was told there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
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


@dataclass(frozen=True, slots=True)
class Present:
    """A process that is there. Parameters: `kind`, what it says of itself."""

    holder: str
    kind: str


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

    async def present(self, holder: str, kind: str, seconds: float) -> Sequence[Present]:
        """Say that a process is there for so many seconds from now, or with 0 that it counts no more.

        Returns everybody who counts, in the order in which they came. Parameters: `kind`, what the process says of
        itself.
        """
        ...


_acting: ContextVar[Mapping[Leases, Lease]] = ContextVar("leases", default=MappingProxyType({}))


def act_for(leases: Leases, lease: Lease) -> None:
    """From now on, in this context, store there only what the holder of the lease may, until somebody else takes it."""
    _acting.set({**_acting.get(), leases: lease})


def acting_for(leases: Leases) -> Lease | None:
    """On the strength of which lease this context stores there; None where none is asked for."""
    return _acting.get().get(leases)
