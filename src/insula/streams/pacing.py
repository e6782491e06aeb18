"""Stages that pass every item on as it is: throttle, tee and take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from insula.streams.channel import Channel
from insula.streams.delivery import Element
from insula.streams.errors import ReceiverGone
from insula.streams.stage import Position, Stage


@dataclass(slots=True)
class Pace:
    """When the next item may pass. Pure: it is told the time.

    The generic cell rate algorithm (ITU-T I.371): items keep an interval of `interval_seconds`, but after a pause up
    to `burst` may pass at once.
    """

    interval_seconds: float
    burst: int
    _due: float = 0.0

    def wait_seconds(self, now: float) -> float:
        """How long until an item may pass; zero if it may now."""
        return max(0.0, self._due - (self.burst - 1) * self.interval_seconds - now)

    def passed(self, now: float) -> None:
        """One passed."""
        self._due = max(self._due, now) + self.interval_seconds


class ThrottleStage(Stage[Any]):
    """Pulls no faster than its pace."""

    def __init__(self, position: Position, pace: Pace) -> None:
        super().__init__(position)
        self._pace = pace

    async def pull(self) -> Element[Any]:
        """Wait for permission, then for an item."""
        started = now = self.clock.monotonic()
        # A sleep may end a rounding error too early: it is enough to have slept.
        if wait := self._pace.wait_seconds(now):
            await self.clock.sleep(wait)
            self.tally.waited_seconds += self.clock.monotonic() - started
        element = await self.upstream[0].pull()
        self._pace.passed(self.clock.monotonic())
        self.tally.entered += 1
        self.tally.left += 1
        return element


class TeeStage(Stage[Any]):
    """Sends each item to a channel as well, until that channel's receiver leaves. The channel ends with the flow."""

    def __init__(self, position: Position, channel: Channel[Any]) -> None:
        super().__init__(position)
        self._channel = channel
        self._left = False

    async def pull(self) -> Element[Any]:
        """Pull, and send a copy before it goes on."""
        try:
            element = await self.upstream[0].pull()
        except StopAsyncIteration:
            self._channel.close()
            raise
        except Exception as error:
            self._channel.fail(error)
            raise
        self.tally.entered += 1
        if not self._left:
            try:
                await self._channel.send(element[0])
            except ReceiverGone:
                self._left = True
        self.tally.left += 1
        return element

    async def release(self) -> list[BaseException]:
        """Tell the channel's receiver that there will be no more, unless it knows."""
        self._channel.fail(RuntimeError(f"the flow was stopped before its end, at stage {self.name}"))
        return []


class TakeStage(Stage[Any]):
    """Ends after so many items, and stops what is before it at once."""

    def __init__(self, position: Position, count: int) -> None:
        super().__init__(position)
        self._missing = count

    async def pull(self) -> Element[Any]:
        """Pull while some are missing."""
        if not self._missing:
            raise StopAsyncIteration
        element = await self.upstream[0].pull()
        self._missing -= 1
        self.tally.entered += 1
        self.tally.left += 1
        return element
