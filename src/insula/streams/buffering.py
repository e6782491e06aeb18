"""The stage that takes a slow puller off its source's hands: buffer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from insula.streams.delivery import Element, settle
from insula.streams.errors import ChannelFull
from insula.streams.overflow import Overflow, make_room
from insula.streams.stage import Position, PumpingStage


class BufferStage(PumpingStage[Any]):
    """Pulls ahead into a bounded buffer. Unless it blocks, it pulls on when that is full, and drops or fails."""

    def __init__(self, position: Position, size: int, overflow: Overflow) -> None:
        super().__init__(position)
        self._size = size
        self._overflow = overflow

    def pumps(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        """One, which fills the buffer."""
        return (self._fill,)

    async def _fill(self) -> None:
        ready, tally, upstream, blocks = self.ready, self.tally, self.upstream[0], self._overflow is Overflow.BLOCK
        while True:
            while blocks and len(ready) >= self._size:
                await self.place(self.taken)
            element = await upstream.pull()
            tally.entered += 1
            if len(ready) < self._size:
                ready.append(element)
            else:
                await self._overflow_with(element)
            self.arrived.set()

    async def _overflow_with(self, element: Element[Any]) -> None:
        if self._overflow is Overflow.FAIL:
            raise ChannelFull(f"stage {self.name} of a flow: all {self._size} places are taken")
        dropped = make_room(self._overflow, self.ready, element)
        self.tally.dropped += len(dropped)
        for lost in dropped:
            await settle(lost)
