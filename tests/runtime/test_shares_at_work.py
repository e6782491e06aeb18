"""What comes by the broker in shares: taken once whatever the modules' processes are, and parked where it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from insula import Command, Event, Module, System, UnitOfWork
from insula.adapters.memory.transport import MemoryBroker, MemoryTransport
from insula.adapters.postgres.address import Address
from insula.kernel.context import MessageContext
from insula.kernel.errors import ConfigurationError
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, Delivery, Store
from insula.runtime.surroundings import Surroundings
from insula.store.database import ParkedState

PEOPLE = [f"person {number}" for number in range(40)]


class Said(Event, key="who"):
    """Somebody said something for the so-manieth time."""

    who: str
    number: int


class Say(Command[None]):
    """Let somebody say it."""

    who: str
    number: int


class Elsewhere:
    """Nobody is called in these tests."""

    async def call(self, module: str, message: Any, context: MessageContext) -> Any:
        raise NotImplementedError


class Talk:
    """Two modules: one speaks, the other hears, but of those in `deaf_to` nothing."""

    def __init__(self) -> None:
        speaker, listener = Module("speaker"), Module("listener")
        self.heard: list[tuple[str, int]] = []
        self.deaf_to: set[str] = set()

        @speaker.handle(Say)
        async def say(command: Say, work: UnitOfWork) -> None:
            work.publish(Said(who=command.who, number=command.number))

        @listener.on(Said)
        async def hear(event: Said, work: UnitOfWork) -> None:
            if event.who in self.deaf_to:
                raise OSError("not now")
            self.heard.append((event.who, event.number))

        self.system = System("talk", speaker, listener)

    async def everybody_says(self, application: Application, number: int) -> None:
        for who in PEOPLE:
            await application.bus.call(Say(who=who, number=number))

    async def hears(self, count: int) -> None:
        await becomes(lambda: len(self.heard) >= count)


async def becomes(condition: Callable[[], object]) -> None:
    """Wait for something that nobody tells of."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def part(talk: Talk, folder: Path, broker: MemoryBroker, module: str) -> Application:
    """One module in a process of its own, on a file."""
    surroundings = Surroundings(neighbours=Elsewhere(), transport=MemoryTransport(broker))
    return Application(talk.system, directory=folder, only=[module], surroundings=surroundings)


def replica(talk: Talk, address: Address, broker: MemoryBroker, module: str, holder: str) -> Application:
    """One of several processes with the same module, on PostgreSQL."""
    surroundings = Surroundings(neighbours=Elsewhere(), transport=MemoryTransport(broker), holder=holder)
    delivery = Delivery(first_delay_seconds=0.05, longest_delay_seconds=0.05, attempts=1000)
    configuration = Configuration(store=Store(addresses={module: address.url}), delivery=delivery)
    return Application(talk.system, configuration, only=[module], surroundings=surroundings)


async def test_modules_that_are_split_joined_and_split_again_take_nothing_twice(tmp_path: Path) -> None:
    talk, broker = Talk(), MemoryBroker()
    async with part(talk, tmp_path, broker, "speaker") as speaker, part(talk, tmp_path, broker, "listener"):
        await talk.everybody_says(speaker, 1)
        await talk.hears(40)
    async with Application(talk.system, directory=tmp_path) as whole:
        await talk.everybody_says(whole, 2)
        await talk.hears(80)
        (relay,) = [each for each in whole.wired.relays if each.receiver.module == "listener" and each.position]
        await relay.save()
        await whole.maintain()
    async with part(talk, tmp_path, broker, "speaker") as speaker, part(talk, tmp_path, broker, "listener"):
        await talk.everybody_says(speaker, 3)
        await becomes(lambda: sum(number == 3 for _, number in talk.heard) == 40)
    assert sorted(talk.heard) == sorted((who, number) for who in PEOPLE for number in (1, 2, 3))


async def test_what_one_replica_has_parked_the_next_one_tries_again_before_what_follows(
    postgres_address: Address, tmp_path: Path
) -> None:
    talk, broker = Talk(), MemoryBroker()
    talk.deaf_to = set(PEOPLE[:10])
    async with (
        part(talk, tmp_path, broker, "speaker") as speaker,
        replica(talk, postgres_address, broker, "listener", "one") as one,
    ):
        await becomes(lambda: len(one.movement.shares) == 4)
        await talk.everybody_says(speaker, 1)
        await talk.hears(30)
        async with replica(talk, postgres_address, broker, "listener", "two") as two:
            await becomes(lambda: len(one.movement.shares) == len(two.movement.shares) == 2)
            await talk.everybody_says(speaker, 2)
            await talk.hears(60)
            talk.deaf_to = set()
            await talk.hears(80)
            async with asyncio.timeout(30):
                while (await two.wired.databases["listener"].parked_counts()).get(ParkedState.WAITING):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            assert min(each.wired.receivers["listener"].handled for each in (one, two)) > 0
    for who in PEOPLE:
        assert [number for said, number in talk.heard if said == who] == [1, 2]


async def test_a_start_that_is_refused_leaves_nothing_running(tmp_path: Path) -> None:
    talk = Talk()
    async with part(talk, tmp_path, MemoryBroker(), "listener"):
        pass
    before = asyncio.all_tasks()
    with pytest.raises(ConfigurationError, match="16 partitions and 4 shares, not in 8 and 4"):
        async with part(talk, tmp_path, MemoryBroker(8), "listener"):
            pass
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == set()


async def test_another_number_of_shares_is_refused(tmp_path: Path) -> None:
    """Two processes that divide the same partitions differently would both take some of them."""
    talk = Talk()
    async with part(talk, tmp_path, MemoryBroker(), "listener"):
        pass
    with pytest.raises(ConfigurationError, match="16 partitions and 4 shares, not in 16 and 8"):
        async with part(talk, tmp_path, MemoryBroker(shares=8), "listener"):
            pass
