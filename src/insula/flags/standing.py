"""How the flags of a process stand, and what is told when that changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FlagsChange:
    """What listeners are told: `keys` that came, went or are other ones; whether the flags are `stale` now, and why."""

    version: str
    keys: tuple[str, ...] = ()
    stale: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class FlagsState:
    """How the flags stand.

    `read_at`, when the source last said that these are its flags, None if it never has; `age_seconds` since then;
    `stale` where that is too long ago; `trouble`, why the source as it is now is not used; `from_kept`, whether they
    are those that were kept on disk.
    """

    source: str
    version: str
    flags: int
    read_at: datetime | None
    age_seconds: float
    stale: bool
    trouble: str
    from_kept: bool
