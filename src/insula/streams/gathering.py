"""Stages that make one item of several: batch and window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from insula.streams.delivery import Element, Receipt
from insula.streams.grouping import Grouping
from insula.streams.stage import Position, PumpingStage, Signal, Stage


class BatchStage(Stage[list[Any]]):
    """Batches by number alone, made by whoever pulls."""

    def __init__(self, position: Position, size: int) -> None:
        super().__init__(position)
        self._size = size
        self._over = False

    async def pull(self) -> Element[list[Any]]:
        """Pull until the batch is full or nothing more comes."""
        if self._over:
            raise StopAsyncIteration
        values: list[Any] = []
        receipts: list[Receipt] = []
        pull = self.upstream[0].pull
        try:
            for _ in range(self._size):
                value, owed = await pull()
                values.append(value)
                self.tally.entered += 1
                if owed:
                    receipts += owed
        except StopAsyncIteration:
            self._over = True
            if not values:
                raise
        self.tally.left += len(values)
        return values, tuple(receipts)


class GatheringStage(PumpingStage[Any]):
    """Groups that time completes too. One group is open at a time; it has places for as many as its limit."""

    def __init__(self, position: Position, grouping: Grouping) -> None:
        super().__init__(position)
        self._grouping = grouping
        self._open: list[Element[Any]] = []
        self._begun = 0.0
        self._complete = False
        self._groups = 0
        self._opened = Signal()

    def pumps(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        """One that gathers."""
        return (self._gather,)

    def start(self) -> None:
        """Begin to pull, and to look at the clock."""
        super().start()
        if self._groups == 0:
            self._groups = 1
            self.spawn(self._watch_the_clock()).add_done_callback(self._watch_ended)

    async def pull(self) -> Element[Any]:
        """The next complete group."""
        await self.until_ready()
        elements, self._open, self._complete = self._open, [], False
        self._groups += 1
        self.tally.left += len(elements)
        self.taken.set()
        receipts = tuple(receipt for _, owed in elements for receipt in owed)
        return self._grouping.group(self._begun, [value for value, _ in elements]), receipts

    def is_ready(self) -> bool:
        """Whether the open group is complete; at the end every group is."""
        return bool(self._open) and (self._complete or self.is_over())

    async def _gather(self) -> None:
        while True:
            while len(self._open) >= self._grouping.limit:
                await self.place(self.taken)
            element = await self.upstream[0].pull()
            self.tally.entered += 1
            now = self._grouping.time(self.clock)
            while self._open and not self._grouping.belongs(self._begun, now):
                self._complete = True
                self.arrived.set()
                await self.place(self.taken)
            self._add(element, now)

    def _add(self, element: Element[Any], now: float) -> None:
        if not self._open:
            self._begun = now
            self._opened.set()
        self._open.append(element)
        if len(self._open) >= self._grouping.limit:
            self._complete = True
            self.arrived.set()

    async def _watch_the_clock(self) -> None:
        while True:
            while not self._open or self._complete:
                await self._opened.wait()
            group = self._groups
            await self.clock.sleep(self._grouping.due(self._begun) - self._grouping.time(self.clock))
            if group == self._groups:
                self._complete = True
                self.arrived.set()

    def _watch_ended(self, task: asyncio.Task[None]) -> None:
        self.failure = self.failure or self.failure_of(task)
        self.arrived.set()
