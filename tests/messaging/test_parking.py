"""What waits behind a parked message, and what must not overtake one that could not even be parked."""

from __future__ import annotations

from typing import Any

import pytest

from insula import Event, Module, System, UnitOfWork
from insula.messages import Envelope, encode
from insula.messaging import relay as relays
from insula.messaging.relay import Relay
from insula.store.database import ParkedState
from insula.testing import Scenario, VirtualClock


class Happened(Event, key="key"):
    """Something, numbered."""

    key: str
    number: int


async def test_messages_behind_a_dead_letter_are_not_dead_themselves() -> None:
    reader = Module("reader")
    broken, heard = True, list[int]()

    @reader.on(Happened, attempts=1)
    async def read(event: Happened, work: UnitOfWork) -> None:
        if broken:
            raise ValueError("broken")
        heard.append(event.number)

    async with Scenario(System("one", reader)) as scenario:
        for number in range(3):
            await scenario.deliver(Happened(key="k", number=number))
        parked = await scenario.parked(reader)
        assert [each.state for each in parked] == [ParkedState.DEAD, ParkedState.WAITING, ParkedState.WAITING]
        broken = False
        await scenario.wired.receivers["reader"].revive([parked[0].sequence])
        await scenario.settle()
        assert heard == [0, 1, 2]


class Log:
    """A source of many messages of one key."""

    name = "source"

    def __init__(self, count: int) -> None:
        self._envelopes = [_envelope(position) for position in range(1, count + 1)]

    def on_append(self, listener: Any) -> None:
        """Nothing is appended any more."""

    async def log_head(self) -> int:
        return len(self._envelopes)

    async def log_after(self, position: int, types: Any, limit: int) -> list[Envelope]:
        return self._envelopes[position : position + limit]


FAILS_AT = 200


class FailingReceiver:
    """Cannot take one message in the middle of the window, nor those chained behind it; takes everything else."""

    types = frozenset(("Happened",))
    module = "reader"

    def __init__(self) -> None:
        self.taken: list[int] = []

    async def deliver(self, envelope: Envelope) -> None:
        if FAILS_AT <= envelope.position <= relays.WINDOW:
            raise OSError("the disk is full")
        self.taken.append(envelope.position)


def _envelope(position: int) -> Envelope:
    return Envelope(
        id=str(position), source="source", type="Happened", kind="event", version=1, subject="k",
        time=VirtualClock().now(), data=encode(Happened(key="k", number=position)), correlation_id="1",
        causation_id=None, traceparent=None, caller="anonymous", position=position,
    )  # fmt: skip


async def test_no_later_page_overtakes_a_message_that_could_not_be_taken() -> None:
    receiver: Any = FailingReceiver()
    source: Any = Log(relays.WINDOW * 2)
    relay = Relay(source, receiver, VirtualClock())
    with pytest.raises(OSError, match="the disk is full"):
        await relay.step()
    assert receiver.taken == list(range(1, FAILS_AT))
    assert relay.position == FAILS_AT - 1
