"""Stages with several streams: merge, and partition by key."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any
from zlib import crc32

from insula.streams.counters import Tallies
from insula.streams.delivery import Element
from insula.streams.stage import Position, PumpingStage, Signal, Stage


class MergeStage(PumpingStage[Any]):
    """What comes from any of several stages, as it comes; each is pulled one item ahead."""

    def __init__(self, position: Position) -> None:
        super().__init__(position)
        self._order: deque[int] = deque()
        self._places = [Signal() for _ in self.upstream]
        self._held = [False for _ in self.upstream]

    def pumps(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        """One for each stage."""
        return [partial(self._carry, number, stage) for number, stage in enumerate(self.upstream)]

    async def pull(self) -> Element[Any]:
        """The item that arrived first; its stage may bring another."""
        element = await super().pull()
        number = self._order.popleft()
        self._held[number] = False
        self._places[number].set()
        return element

    async def _carry(self, number: int, stage: Stage[Any]) -> None:
        while True:
            while self._held[number]:
                await self.place(self._places[number])
            element = await stage.pull()
            self.tally.entered += 1
            self._held[number] = True
            self._order.append(number)
            self.ready.append(element)
            self.arrived.set()


def lane_of(key: object, lanes: int) -> int:
    """Which of so many lanes a key goes to: equal keys to the same one.

    Texts and bytes go to the same lane in every process; other keys as Python hashes them. Raises TypeError for a key
    that cannot be hashed.
    """
    if isinstance(key, str):
        return crc32(key.encode("utf-8", "surrogatepass")) % lanes
    if isinstance(key, bytes):
        return crc32(key) % lanes
    return hash(key) % lanes


class LaneStage(Stage[Any]):
    """The beginning of a lane: one place, filled by whoever distributes the items."""

    def __init__(self, distribution: DistributionStage) -> None:
        super().__init__(Position(distribution.name, Tallies(), distribution.clock, (distribution,)))
        self._distribution = distribution
        self.element: Element[Any] | None = None
        self.arrived = Signal()
        self.taken = Signal()

    async def pull(self) -> Element[Any]:
        """What was put into this lane."""
        self._distribution.start()
        while self.element is None:
            if self._distribution.is_over():
                raise self._distribution.failure or StopAsyncIteration
            await self.arrived.wait()
        element, self.element = self.element, None
        self.taken.set()
        self._distribution.tally.left += 1
        return element


class DistributionStage(PumpingStage[Any]):
    """Carries each item to the lane of its key, and waits while that has no place, so that each key keeps its order."""

    def __init__(self, position: Position, key: Callable[[Any], object], lanes: int) -> None:
        super().__init__(position)
        self._key = key
        self.lanes = [LaneStage(self) for _ in range(lanes)]

    def pumps(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        """One, which looks at the keys."""
        return (self._distribute,)

    def pump_ended(self, task: asyncio.Task[None]) -> None:
        """Let every lane know."""
        super().pump_ended(task)
        for lane in self.lanes:
            lane.arrived.set()

    async def _distribute(self) -> None:
        while True:
            element = await self.upstream[0].pull()
            self.tally.entered += 1
            lane = self.lanes[self._lane_of(element[0])]
            while lane.element is not None:
                await self.place(lane.taken)
            lane.element = element
            lane.arrived.set()

    def _lane_of(self, value: object) -> int:
        try:
            return lane_of(self._key(value), len(self.lanes))
        except Exception as error:
            self.explain(error)
            raise
