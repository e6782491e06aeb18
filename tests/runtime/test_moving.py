"""Which process moves messages is decided by leases: one whose work has ended by itself does not keep them."""

from __future__ import annotations

import asyncio

from insula import Command, Event, Module, System, UnitOfWork
from insula.adapters.postgres.address import Address
from insula.kernel.clock import SystemClock
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, Store
from insula.runtime.surroundings import Surroundings
from support.postgres import opened_on_postgres


def replica(address: Address, holder: str) -> Application:
    """One of several processes with the same module."""
    configuration = Configuration(store=Store(address=address.url.replace("/notes", "/{module}", 1)))
    return Application(
        System("one", Module("notes")), configuration, surroundings=Surroundings(clock=SystemClock(), holder=holder)
    )


async def test_a_process_whose_work_has_ended_by_itself_lets_another_move_messages(postgres_address: Address) -> None:
    async with asyncio.timeout(20), replica(postgres_address, "first") as first:
        while not first.moves_messages:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        async with replica(postgres_address, "second") as second:
            first.movement._backgrounds[0]._tasks[0].cancel()
            while not second.moves_messages:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            assert (first.moves_messages, first.ready) == (False, False)
        while not (first.moves_messages and first.ready):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Placed(Event):
    """Something that somebody has to hear of."""


class Place(Command[None]):
    """Tell of it."""


async def test_what_is_told_before_the_first_of_the_processes_moves_messages_is_heard_all_the_same(
    postgres_address: Address,
) -> None:
    notes, heard = Module("notes"), asyncio.Event()

    @notes.handle(Place)
    async def place(command: Place, work: UnitOfWork) -> None:
        work.publish(Placed())

    @notes.on(Placed)
    async def hear(event: Placed, work: UnitOfWork) -> None:
        heard.set()

    configuration = Configuration(store=Store(address=postgres_address.url.replace("/notes", "/{module}", 1)))
    async with asyncio.timeout(20), opened_on_postgres(postgres_address, alone=False) as elsewhere:
        lease = await elsewhere.leases.acquire("background", "one that does nothing", 60)
        surroundings = Surroundings(holder="first")
        async with Application(System("one", notes), configuration, surroundings=surroundings) as first:
            await first.bus.call(Place())
            await elsewhere.leases.release(lease)
            await heard.wait()
