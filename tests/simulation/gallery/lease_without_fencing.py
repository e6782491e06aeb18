"""A lease without fencing: two workers, one of which stands still for longer than its lease.

The bug: the worker that wakes up believes that it still holds the lease, and overwrites what the other one has written.
In the wild: locks in Redis or ZooKeeper around files and object stores; long garbage collections, frozen machines
(Kleppmann, How to do distributed locking, 2016).
The cure: each lease has a higher number than the one before, and the storage refuses a number lower than one it has
seen. It must see it when it is read already: a late write may come between the other's reading and writing.
"""

from __future__ import annotations

import asyncio

from insula import Command, Failure, Module, System
from insula.simulation import Simulation, Snapshot, eventually

INVARIANT = "no line is lost"
LEASE_SECONDS = 5.0


class WriteNorth(Command[None]):
    line: str


class WriteSouth(Command[None]):
    line: str


class Leases:
    def __init__(self) -> None:
        self._number = 0
        self._until = 0.0

    async def take(self) -> int:
        now = asyncio.get_running_loop().time()
        if now < self._until:
            raise Failure("somebody else holds the lease")
        self._number += 1
        self._until = now + LEASE_SECONDS
        return self._number

    async def give_back(self, number: int) -> None:
        if number == self._number:
            self._until = 0.0


class File:
    """Takes whatever is written."""

    def __init__(self) -> None:
        self.lines: tuple[str, ...] = ()

    async def read(self, lease: int) -> tuple[str, ...]:
        return self.lines

    async def write(self, lease: int, lines: tuple[str, ...]) -> None:
        self.lines = lines


class FencedFile(File):
    """Refuses leases older than one it has seen."""

    _newest = 0

    def _check(self, lease: int) -> None:
        if lease < self._newest:
            raise Failure(f"lease {lease} is over, {self._newest} has been here")
        self._newest = lease

    async def read(self, lease: int) -> tuple[str, ...]:
        self._check(lease)
        return await super().read(lease)

    async def write(self, lease: int, lines: tuple[str, ...]) -> None:
        self._check(lease)
        await super().write(lease, lines)


async def write_north(command: WriteNorth, leases: Leases, file: File) -> None:
    await _append(command.line, leases, file)


async def write_south(command: WriteSouth, leases: Leases, file: File) -> None:
    await _append(command.line, leases, file)


async def _append(line: str, leases: Leases, file: File) -> None:
    lease = await leases.take()
    lines = await file.read(lease)
    if line not in lines:
        await file.write(lease, (*lines, line))
    await leases.give_back(lease)


@eventually
def no_line_is_lost(state: Snapshot) -> None:
    answered = {
        "from the north": state.scalar("north", "select count(*) from insula_inbox"),
        "from the south": state.scalar("south", "select count(*) from insula_inbox"),
    }
    assert sorted(state.stand_in(File).lines) == [line for line, count in answered.items() if count]


def build(broken: bool) -> Simulation:
    north, south = Module("north"), Module("south")
    north.handle(WriteNorth)(write_north)
    south.handle(WriteSouth)(write_south)
    for worker in (north, south):
        worker.bind(Leases, Leases)
        worker.bind(File, File)
    return Simulation(
        System("writers", north, south),
        [WriteNorth(line="from the north"), WriteSouth(line="from the south")],
        [no_line_is_lost],
        ports={Leases: Leases, File: File if broken else FencedFile},
    )
