"""What passed through a channel or a stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counters:
    """One look at a channel or a stage.

    `entered` items came in, `left` went on, `dropped` went nowhere (no room, filtered out, diverted, discarded) and
    `depth` are inside now. `waited_seconds`: how long items had to wait before they were let in, or on.
    """

    name: str
    entered: int
    left: int
    dropped: int
    depth: int
    waited_seconds: float
