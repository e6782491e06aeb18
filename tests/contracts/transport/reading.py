"""Messages, and a reader that waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from insula.messages import Envelope
from insula.messaging.transport import Begin, Delivery, Subscription, Transport

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def message(position: int, *, key: str | None = "k", previous: int = 0, type_: str = "Said") -> Envelope:
    """A message at a position of the log of `source`."""
    return Envelope(
        id=f"message-{position}", source="source", type=type_, kind="event", version=1, subject=key, time=NOW,
        data=b'{"said":"hello"}', correlation_id="c", causation_id=None, traceparent=None, caller="anonymous",
        position=position, previous=previous,
    )  # fmt: skip


class Reader:
    """Takes what arrives at one subscription."""

    def __init__(self) -> None:
        self.subscription: Subscription
        self.arrived = asyncio.Event()
        self._taken: list[Delivery] = []

    async def next(self, count: int) -> list[Delivery]:
        """The next so many deliveries."""
        while len(self._taken) < count:
            self.arrived.clear()
            self._taken += self.subscription.take()
            if len(self._taken) < count:
                await self.arrived.wait()
        given, self._taken = self._taken[:count], self._taken[count:]
        return given

    async def nothing(self) -> bool:
        """Whether nothing arrives within a moment."""
        try:
            async with asyncio.timeout(0.3):
                await self.next(1)
        except TimeoutError:
            return True
        return False

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        await self.subscription.acknowledge(deliveries)


@asynccontextmanager
async def reading(
    transport: Transport, receiver: str = "reading", share: int = 0, *, window: int = 100, begin: Begin = "now"
) -> AsyncIterator[Reader]:
    """A subscription of a receiver, closed at the end."""
    reader = Reader()
    reader.subscription = await transport.subscribe(
        "source", receiver, share, arrived=reader.arrived.set, window=window, begin=begin
    )
    try:
        yield reader
    finally:
        await reader.subscription.close()


def positions(deliveries: Sequence[Delivery]) -> list[int]:
    """Where the messages stand in their log."""
    return [delivery.envelope.position for delivery in deliveries]
