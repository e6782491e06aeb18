"""A module's own database that does not answer is not the fault of the messages that it should have stored."""

from __future__ import annotations

import pytest

from insula import Event, Module, System, UnitOfWork
from insula.messages import Envelope, encode
from insula.messaging.receiver import Receiver
from insula.store.database import ParkedState
from insula.store.errors import DatabaseUnavailable
from insula.testing import Scenario


class Happened(Event, key="key"):
    """Something, numbered."""

    key: str
    number: int


class Reader:
    """A module whose handlers lose their database so many times."""

    def __init__(self, losses: int) -> None:
        self.module = Module("reader")
        self.heard: list[int] = []
        self.losses = losses
        self.module.on(Happened, attempts=2)(self.read)

    async def read(self, event: Happened, work: UnitOfWork) -> None:
        if self.losses:
            self.losses -= 1
            raise DatabaseUnavailable("reader: the database does not answer")
        self.heard.append(event.number)


def envelope(scenario: Scenario, number: int) -> Envelope:
    event = Happened(key="k", number=number)
    return Envelope(
        id=f"message-{number}", source="elsewhere", type="Happened", kind="event", version=1, subject="k",
        time=scenario.clock.now(), data=encode(event), correlation_id="c", causation_id=None, traceparent=None,
        caller="anonymous", position=number,
    )  # fmt: skip


def receiver(scenario: Scenario) -> Receiver:
    return scenario.wired.receivers["reader"]


async def test_a_message_is_delivered_again_and_no_attempt_is_used_up() -> None:
    reader = Reader(losses=3)
    async with Scenario(System("one", reader.module)) as scenario:
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await receiver(scenario).deliver(envelope(scenario, 1))
        assert await scenario.parked(reader.module) == []
        await receiver(scenario).deliver(envelope(scenario, 1))
        assert (reader.heard, await scenario.parked(reader.module)) == ([1], [])


async def test_a_message_that_makes_the_database_hang_up_each_time_is_parked_in_the_end() -> None:
    reader = Reader(losses=100)
    async with Scenario(System("one", reader.module)) as scenario:
        for _ in range(9):
            with pytest.raises(DatabaseUnavailable):
                await receiver(scenario).deliver(envelope(scenario, 1))
        await receiver(scenario).deliver(envelope(scenario, 1))
        (parked,) = await scenario.parked(reader.module)
        assert (parked.attempts, parked.error) == (1, "DatabaseUnavailable: reader: the database does not answer")


async def test_losses_are_counted_anew_after_one_that_was_handled() -> None:
    reader = Reader(losses=9)
    async with Scenario(System("one", reader.module)) as scenario:
        for number in (1, 2):
            for _ in range(9):
                with pytest.raises(DatabaseUnavailable):
                    await receiver(scenario).deliver(envelope(scenario, number))
            await receiver(scenario).deliver(envelope(scenario, number))
            reader.losses = 9
        assert (reader.heard, await scenario.parked(reader.module)) == ([1, 2], [])


async def test_a_parked_message_that_is_tried_again_uses_up_no_attempt_either() -> None:
    module, state = Module("reader"), {"error": ValueError("broken")}

    @module.on(Happened, attempts=2)
    async def read(event: Happened, work: UnitOfWork) -> None:
        if state:
            raise state["error"]

    async with Scenario(System("one", module)) as scenario:
        await receiver(scenario).deliver(envelope(scenario, 1))
        state["error"] = DatabaseUnavailable("away")  # type: ignore[assignment]
        scenario.clock.advance(3600)
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await receiver(scenario).retry_due()
        (parked,) = await scenario.parked(module)
        assert (parked.attempts, parked.state) == (1, ParkedState.WAITING)
        state.clear()
        assert await receiver(scenario).retry_due() == 1
