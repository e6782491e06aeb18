"""Up to where the marks of what was taken of a share are needed no more, whatever the broker delivers again."""

from __future__ import annotations

from collections.abc import Collection

from insula.kernel.clock import Clock
from insula.messaging.lane import Lane
from insula.messaging.transport import Subscription, needless_cursor, partition_cursor
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
        self._subscription: Subscription | None = None
        self._since = 0.0

    def subscribed(self, subscription: Subscription) -> None:
        """From now on the broker delivers."""
        self._subscription, self._since = subscription, self._clock.monotonic()

    def ended(self) -> None:
        """It does no more."""
        self._subscription = None

    async def position(self, lanes: Collection[Lane]) -> int:
        """The marks of what was taken up to here are needed no more.

        A share that the broker has nothing of is done with everything that anybody had read of the other shares before
        we asked: a source publishes in one order. So one in which nothing comes holds up no marks. Of any other only
        the own partitions are known; and an earlier run may have taken more of them than it remembered, which the
        broker has to deliver again first.
        """
        subscription, furthest = self._subscription, await self._furthest()
        if subscription is None:
            return _surely(lanes)
        if await subscription.is_empty() and subscription is self._subscription and not _held(lanes):
            return furthest
        if self._clock.monotonic() - self._since <= REDELIVERY_SECONDS:
            return _surely(lanes)
        return min(_held(lanes), default=max((lane.remembered or 0 for lane in lanes), default=0))

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


def _surely(lanes: Collection[Lane]) -> int:
    return min((lane.remembered or 0 for lane in lanes), default=0)


def _held(lanes: Collection[Lane]) -> list[int]:
    return [lane.remembered or 0 for lane in lanes if lane.has_unremembered]
