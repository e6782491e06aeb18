"""Up to where the marks of what was taken of a share are needed no more, whatever the broker delivers again."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from insula.kernel.clock import Clock
from insula.messaging.lane import Lane
from insula.messaging.transport import needless_cursor, partition_cursor
from insula.store.database import Database, Scope, Unit

REDELIVERY_SECONDS = 600.0
"""After so long at the broker whatever an earlier run has taken without remembering it has come again."""


class Needless:
    """What one process that reads a share can vouch for. It is stored, since another process may delete the marks.

    Parameters: `source`, whose log is read; `database`, of the receiver; `partitions`, of the whole log.
    """

    def __init__(self, source: str, share: int, database: Database, partitions: int, clock: Clock) -> None:
        self._source = source
        self._database = database
        self._clock = clock
        self._name = needless_cursor(source, share)
        self._cursors = [partition_cursor(source, partition) for partition in range(partitions)]
        self._subscribed_at: float | None = None
        self._reached: deque[tuple[float, int]] = deque()
        """When we looked, and how far anybody had come in any partition by then."""

    def subscribed(self) -> None:
        """From now on the broker delivers."""
        self._subscribed_at = self._clock.monotonic()

    def ended(self) -> None:
        """It does no more."""
        self._subscribed_at = None

    async def position(self, lanes: Collection[Lane]) -> int:
        """The marks of what was taken up to here are needed no more.

        An earlier run may have taken more of a partition than it remembered. It is not known how much until the broker
        has delivered that again. What stood in the channel before that time has arrived by now, so nothing up to there
        is under way but what the lanes hold: a share in which nothing comes holds up no marks.
        """
        now = self._clock.monotonic()
        self._reached.append((now, await self._furthest()))
        if self._subscribed_at is None or now - self._subscribed_at <= REDELIVERY_SECONDS:
            return min((lane.remembered or 0 for lane in lanes), default=0)
        while len(self._reached) > 1 and self._reached[1][0] <= now - REDELIVERY_SECONDS:
            self._reached.popleft()
        held = [lane.remembered or 0 for lane in lanes if lane.has_unremembered]
        if held:
            return min(held)
        looked_at, furthest = self._reached[0]
        before = furthest if looked_at <= now - REDELIVERY_SECONDS else 0
        return max(before, *(lane.remembered or 0 for lane in lanes))

    async def _furthest(self) -> int:
        return max([await self._database.cursor(name) or 0 for name in self._cursors])

    async def vouch(self, lanes: Collection[Lane]) -> None:
        """Store the position, where it has grown."""
        position, stored = await self.position(lanes), await self._database.cursor(self._name) or 0
        if position <= stored:
            return

        async def body(unit: Unit) -> None:
            await unit.save_cursor(self._name, position)

        await self._database.perform(body, Scope(f"{self._database.name}: marks of what {self._source} publishes"))
