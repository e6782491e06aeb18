"""How far an extraction is, and what may follow what."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """What an extraction does, in this order."""

    PREPARING = "preparing"
    COPYING = "copying"
    CATCHING_UP = "catching up"
    VERIFYING = "verifying"
    HOLDING = "holding"
    SWITCHED = "switched"
    FAILED = "failed"
    ABORTED = "aborted"
    FINISHED = "finished"


_NEXT: Mapping[Phase, frozenset[Phase]] = {
    Phase.PREPARING: frozenset((Phase.COPYING, Phase.CATCHING_UP)),
    Phase.COPYING: frozenset((Phase.CATCHING_UP,)),
    Phase.CATCHING_UP: frozenset((Phase.VERIFYING, Phase.HOLDING)),
    Phase.VERIFYING: frozenset((Phase.CATCHING_UP,)),
    Phase.HOLDING: frozenset((Phase.SWITCHED, Phase.CATCHING_UP)),
    Phase.SWITCHED: frozenset((Phase.FINISHED, Phase.PREPARING)),
    Phase.FAILED: frozenset((Phase.PREPARING, Phase.ABORTED)),
    Phase.ABORTED: frozenset((Phase.PREPARING,)),
    Phase.FINISHED: frozenset((Phase.PREPARING,)),
}
ENDED = frozenset((Phase.SWITCHED, Phase.FAILED, Phase.ABORTED, Phase.FINISHED))
"""In these nothing happens by itself."""


def may_follow(now: Phase, then: Phase) -> bool:
    """Whether an extraction may go on so. Until it has switched it may fail or be aborted at any moment."""
    if then in _NEXT[now]:
        return True
    return now not in ENDED and then in (Phase.FAILED, Phase.ABORTED)


class Progress(msgspec.Struct):
    """What an extraction tells about itself.

    Parameters: `address`, where to, without a password; `rows` of `total` are copied; `carried`, changed rows that
    followed; `verified`, the checksum of each table, the same on both sides; `held_seconds`, how long units waited;
    `broken_off`, whether the process ended meanwhile and it waits to be gone on with.
    """

    module: str
    address: str
    phase: Phase = Phase.PREPARING
    rows: int = 0
    total: int = 0
    carried: int = 0
    verified: dict[str, str] = {}
    held_seconds: float = 0.0
    problem: str = ""
    back: bool = False
    broken_off: bool = False

    def enter(self, phase: Phase) -> None:
        """Go on to the next phase. Raises ValueError for one that may not follow."""
        if phase is not self.phase and not may_follow(self.phase, phase):
            raise ValueError(f"an extraction that is {self.phase} cannot become {phase}")
        self.phase = phase
