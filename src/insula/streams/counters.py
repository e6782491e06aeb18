"""What passed through a channel or a stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counters:
    """One look at a channel or a stage.

    Of the items that `entered`, so many `left`, were `dropped` (no room, filtered out, diverted, discarded, or given up
    when a flow was stopped) and are inside now (`depth`). A batch counts as many as it holds. `waited_seconds`: how
    long what was there had to wait for room or permission. `blocked`: how many wait for room at this moment,
    a channel's senders or a stage's tasks; what comes after them is the slow one.
    """

    name: str
    entered: int
    left: int
    dropped: int
    depth: int
    waited_seconds: float
    blocked: int = 0


class Tally:
    """The counts of one stage in one run of a flow."""

    __slots__ = ("blocked", "dropped", "entered", "left", "waited_seconds")

    def __init__(self) -> None:
        self.entered = self.left = self.dropped = self.blocked = 0
        self.waited_seconds = 0.0


class Tallies:
    """The counts of one stage over all runs of its flow, those that go on included."""

    def __init__(self) -> None:
        self._ended = Tally()
        self._running: list[Tally] = []

    def begin(self) -> Tally:
        """Counts for one more run."""
        tally = Tally()
        self._running.append(tally)
        return tally

    def end(self, tally: Tally) -> None:
        """The run is over; what was still inside went nowhere. Harmless if repeated."""
        if tally not in self._running:
            return
        self._running.remove(tally)
        self._ended.entered += tally.entered
        self._ended.left += tally.left
        self._ended.dropped += tally.entered - tally.left
        self._ended.waited_seconds += tally.waited_seconds

    def counters(self, name: str) -> Counters:
        """The sums."""
        tallies = [self._ended, *self._running]
        entered, left = sum(tally.entered for tally in tallies), sum(tally.left for tally in tallies)
        dropped = sum(tally.dropped for tally in tallies)
        waited = sum(tally.waited_seconds for tally in tallies)
        blocked = sum(tally.blocked for tally in self._running)
        return Counters(name, entered, left, dropped, entered - left - dropped, waited, blocked)
