"""Stages that treat one item after the other, or several at once: map and filter."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from insula.streams.delivery import Element, settle
from insula.streams.stage import Position, PumpingStage, Stage

Divert = Callable[[Any, Exception], object]


class PlainFunctionError(TypeError):
    """A plain function was to treat several items at once: a mistake of the flow, not of an item."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done with each item.

    Parameters: `function`, plain or async; `keeps`, whether the answer decides if the item stays (filter) or is the new
    item (map); `divert`, gets an item that failed with its error, or None where the error ends the flow; `awaits`,
    whether the function has to be async, since several items are treated at once.
    """

    function: Callable[[Any], Any]
    keeps: bool
    divert: Divert | None
    awaits: bool = False

    async def apply(self, element: Element[Any], stage: Stage[Any]) -> Element[Any] | None:
        """The element that goes on, or None; what does not go on is settled."""
        try:
            answer = self.function(element[0])
            if hasattr(type(answer), "__await__"):
                answer = await answer
            elif self.awaits:
                self._refuse_plain(stage)
        except Exception as error:
            stage.explain(error)
            if self.divert is None or isinstance(error, PlainFunctionError):
                raise
            await self._divert(self.divert, element[0], error, stage)
        else:
            if not self.keeps:
                return answer, element[1]
            if answer:
                return element
        stage.tally.dropped += 1
        await settle(element)
        return None

    async def _divert(self, divert: Divert, value: Any, error: Exception, stage: Stage[Any]) -> None:
        try:
            diverted = divert(value, error)
            if isinstance(diverted, Awaitable):
                await diverted
        except Exception as failed:
            if failed is not error:
                stage.explain(failed, "`divert` of stage")
            raise

    def _refuse_plain(self, stage: Stage[Any]) -> None:
        raise PlainFunctionError(
            f"stage {stage.name} of a flow: a plain function runs one item after the other, whatever its concurrency=; "
            "write an `async def`, or for one that blocks `lambda item: asyncio.to_thread(function, item)`, "
            "or leave concurrency= out"
        )


class MapStage(Stage[Any]):
    """One item after the other, by whoever pulls."""

    def __init__(self, position: Position, treatment: Treatment) -> None:
        super().__init__(position)
        self._treatment = treatment

    async def pull(self) -> Element[Any]:
        """Pull until an item goes on."""
        tally, upstream = self.tally, self.upstream[0]
        while True:
            element = await upstream.pull()
            tally.entered += 1
            treated = await self._treatment.apply(element, self)
            if treated is not None:
                tally.left += 1
                return treated


class ConcurrentMapStage(PumpingStage[Any]):
    """Several items at once. An item holds its place from before it is pulled until its result is taken."""

    def __init__(self, position: Position, treatment: Treatment, concurrency: int, *, ordered: bool) -> None:
        super().__init__(position)
        self._treatment = treatment
        self._concurrency = concurrency
        self._ordered = ordered
        self._results: deque[asyncio.Task[Element[Any] | None]] = deque()
        self._inside = 0

    def pumps(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        """One, which starts a task for each item."""
        return (self._fill,)

    async def pull(self) -> Element[Any]:
        """The next result, skipping what does not go on."""
        while True:
            await self.until_ready()
            task = self._results.popleft()
            self._inside -= 1
            self.taken.set()
            failure = self.failure_of(task)
            if failure is not None:
                self.failure = failure
                raise failure
            treated = task.result()
            if treated is not None:
                self.tally.left += 1
                return treated

    def is_ready(self) -> bool:
        """Whether the next result is there."""
        return bool(self._results) and self._results[0].done()

    def is_over(self) -> bool:
        """Whether nothing more will come, and all that was pulled before was given."""
        return super().is_over() and self._inside == 0

    async def _fill(self) -> None:
        while True:
            while self._inside >= self._concurrency:
                await self.place(self.taken)
            element = await self.upstream[0].pull()
            self.tally.entered += 1
            self._inside += 1
            task = self.spawn(self._treatment.apply(element, self))
            if self._ordered:
                self._results.append(task)
            task.add_done_callback(self._treated)

    def _treated(self, task: asyncio.Task[Element[Any] | None]) -> None:
        if not self._ordered:
            self._results.append(task)
        if not task.cancelled():
            task.exception()  # or asyncio complains about one that nobody came to take
        self.arrived.set()
