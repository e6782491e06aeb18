"""The simulated transport loses messages, but never changes the order of a key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from insula.messages import Envelope
from insula.simulation.machine.delivery import Delivery, MessageLost
from insula.store.lease import Lease, act_for


def message(number: int) -> Envelope:
    return Envelope(
        id=f"message {number}", source="trips", type="TripRenamed", kind="event", version=1, subject="baltic",
        time=datetime(2030, 1, 1, tzinfo=UTC), data=b"{}", correlation_id="call", causation_id=None,
        traceparent=None, caller="anonymous", position=number,
    )  # fmt: skip


class LosesTheFirst:
    """Stands for a process whose network loses one message, and for its receiver."""

    module = "seats"

    def __init__(self) -> None:
        self.name = "seats"
        self.world = self
        self.choices = SimpleNamespace(number=lambda key: key)
        self.aliases: dict[str, str] = {}
        self.arrived: list[str] = []
        self.database = SimpleNamespace(leases=object())
        self._lost = False

    def fault(self, lane: str, _: str) -> Any:
        strikes = lane == "loss" and not self._lost
        self._lost = self._lost or strikes
        return True if strikes else None

    def record(self, *_: str, **__: object) -> None:
        """Nobody reads it."""

    async def boundary(self, _: str) -> None:
        """Nothing strikes."""

    async def deliver(self, envelope: Envelope) -> None:
        self.arrived.append(envelope.id)


async def test_a_message_sent_together_with_a_lost_one_does_not_overtake_it() -> None:
    place: Any = LosesTheFirst()
    delivery, sent = Delivery(place, "trips", place), [message(1), message(2)]
    answers = await asyncio.gather(*map(delivery, sent), return_exceptions=True)
    assert [type(answer) for answer in answers] == [MessageLost, MessageLost]
    await asyncio.gather(*map(delivery, sent))
    assert place.arrived == ["message 1", "message 2"]


async def test_what_was_lost_under_another_lease_is_waited_for_no_more() -> None:
    place: Any = LosesTheFirst()
    delivery = Delivery(place, "trips", place)
    await asyncio.gather(delivery(message(1)), return_exceptions=True)
    # Since another process had it, which took the first message.
    act_for(place.database.leases, Lease("background", "a", 2, datetime(2030, 1, 1, tzinfo=UTC)))
    await delivery(message(2))
    assert place.arrived == ["message 2"]
