"""Which process moves messages is decided by leases: one whose work has ended by itself does not keep them."""

from __future__ import annotations

import asyncio

from insula import Module, System
from insula.adapters.postgres.address import Address
from insula.kernel.clock import SystemClock
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, Store
from insula.runtime.surroundings import Surroundings


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
            first._running._tasks[0].cancel()
            while not second.moves_messages:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            assert (first.moves_messages, first.ready) == (False, False)
        while not (first.moves_messages and first.ready):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
