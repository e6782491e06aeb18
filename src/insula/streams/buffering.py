"""The stage that takes a slow puller off its source's hands: buffer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from insula.streams.delivery import settle
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
        while True:
            while self._overflow is Overflow.BLOCK and len(self.ready) >= self._size:
                await self.place(self.taken)
            element = await self.upstream[0].pull()
            self.tally.entered += 1
            if len(self.ready) < self._size:
                self.ready.append(element)
            elif self._overflow is Overflow.FAIL:
                raise ChannelFull(f"stage {self.name} of a flow: all {self._size} places are taken")
            else:
                dropped = make_room(self._overflow, self.ready, element)
                self.tally.dropped += len(dropped)
                for lost in dropped:
                    await settle(lost)
            self.arrived.set()
