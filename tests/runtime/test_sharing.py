"""The processes of a group divide the shares among themselves evenly, by leases, whoever comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.runtime.sharing import Sharing, fair
from insula.runtime.tenure import LEASE_SECONDS
from insula.store.lease import acting_for
from insula.testing import VirtualClock, virtual_time
from support.leases import SharedDatabase

SHARES = 4


class Movers:
    """Who moves which share now. No share may ever have two."""

    def __init__(self) -> None:
        self.of: dict[int, str] = {}
        """Work -> process; 0 is what is not shared."""
        self.moves = 0

    def count(self, name: str) -> int:
        """How many shares a process has."""
        return [of for number, of in self.of.items() if number].count(name)

    def counts(self, *names: str) -> list[int]:
        return [self.count(name) for name in names]


class Process:
    """One process, that moves the shares it has. `trouble` is what keeps it from beginning anything."""

    def __init__(
        self, name: str, databases: dict[str, SharedDatabase], clock: VirtualClock, movers: Movers, kind: str = ""
    ) -> None:
        self.name = name
        self.databases = databases
        self.movers = movers
        self.trouble: Exception | None = None
        self.sharing = Sharing(databases, name, clock, SHARES, self.begin, self.end, kind=kind)

    async def begin(self, number: int) -> None:
        if self.trouble is not None:
            raise self.trouble
        assert number not in self.movers.of, f"{self.movers.of[number]} and {self.name} do the same"
        self.movers.of[number] = self.name
        self.movers.moves += 1
        names = {None if lease is None else lease.name for lease in map(acting_for, self.databases.values())}
        assert names == {f"share {number - 1} of {SHARES}" if number else "background"}

    async def end(self, number: int, seconds: float) -> None:
        if self.movers.of.get(number) == self.name:
            del self.movers.of[number]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Until the end of the block, where it stops in an orderly way."""
        self.task = asyncio.create_task(self.sharing.run())
        try:
            yield
        finally:
            await self.crash()
            await self.sharing.release()

    async def crash(self) -> None:
        """It ends without a word."""
        self.task.cancel()
        await asyncio.wait([self.task])
        for number in range(SHARES + 1):
            await self.end(number, 0.0)


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with virtual_time() as clock:
        yield clock


@pytest.fixture
def databases(clock: VirtualClock) -> dict[str, SharedDatabase]:
    return {name: SharedDatabase(clock) for name in ("orders", "billing")}


@pytest.fixture
def movers() -> Movers:
    return Movers()


async def passing(clock: VirtualClock, seconds: float) -> None:
    await clock.run(clock.sleep(seconds))


async def test_one_process_alone_has_all_shares_at_once(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    async with Process("one", databases, clock, movers).running():
        await passing(clock, 0.1)
        assert movers.count("one") == SHARES


async def test_who_comes_gets_its_part_and_who_leaves_gives_its_part_back(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    one, two, three = (Process(name, databases, clock, movers) for name in ("one", "two", "three"))
    async with one.running():
        await passing(clock, 1)
        async with two.running():
            await passing(clock, 6)
            assert movers.counts("one", "two") == [2, 2]
            async with three.running():
                await passing(clock, 6)
                assert movers.counts("one", "three", "two") == [2, 1, 1]
            await passing(clock, 6)
            assert movers.counts("one", "two") == [2, 2]
            moves = movers.moves
            await passing(clock, 20 * LEASE_SECONDS)
            assert movers.moves == moves  # nothing moves while nobody comes or goes
        await passing(clock, 6)
        assert movers.count("one") == SHARES


async def test_the_part_of_one_that_died_goes_to_the_others_once_its_leases_are_over(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    one, two = Process("one", databases, clock, movers), Process("two", databases, clock, movers)
    async with one.running(), two.running():
        await passing(clock, 8)
        assert movers.counts("one", "two") == [2, 2]
        await two.crash()
        await passing(clock, 2)
        assert movers.count("one") == 2
        await passing(clock, 2 * LEASE_SECONDS)
        assert movers.count("one") == SHARES


async def test_more_processes_than_shares_leave_some_without_any(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    names = [f"process {number}" for number in range(6)]
    async with AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(Process(name, databases, clock, movers).running())
        await passing(clock, 20)
        assert movers.counts(*names) == [1, 1, 1, 1, 0, 0]


async def test_one_that_met_a_message_it_does_not_know_leaves_everything_to_the_others(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    older, newer = Process("older", databases, clock, movers), Process("newer", databases, clock, movers)
    async with older.running():
        await passing(clock, 1)
        async with newer.running():
            await passing(clock, 6)
            older.sharing.fall_behind()
            await passing(clock, 8)
            assert movers.count("newer") == SHARES
            await passing(clock, 20 * LEASE_SECONDS)
            assert movers.count("newer") == SHARES
        await passing(clock, 8)
        assert movers.count("older") == SHARES  # it is alone, and what it knows has to go on


async def test_where_all_have_met_such_a_message_they_share_what_they_know(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    """As after going back to an older version."""
    one, two = Process("one", databases, clock, movers), Process("two", databases, clock, movers)
    async with one.running(), two.running():
        await passing(clock, 8)
        one.sharing.fall_behind()
        two.sharing.fall_behind()
        await passing(clock, 2 * LEASE_SECONDS)
        assert movers.counts("one", "two") == [2, 2]


async def test_versions_that_must_not_work_beside_each_other_follow_one_another(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    older = [Process(name, databases, clock, movers) for name in ("c", "d")]
    newer = [Process(name, databases, clock, movers, kind="renames") for name in ("a", "b")]
    async with older[0].running():
        await passing(clock, 1)
        async with older[1].running(), newer[0].running(), newer[1].running():
            await passing(clock, 4 * LEASE_SECONDS)
            assert movers.counts("a", "b", "c", "d") == [0, 0, 2, 2]
            assert movers.of[0] in ("c", "d")
            await older[0].crash()
            await older[0].sharing.release()
            await older[1].crash()
            await older[1].sharing.release()
            await passing(clock, LEASE_SECONDS)
            assert movers.counts("a", "b", "c", "d") == [2, 2, 0, 0]
            assert movers.of[0] in ("a", "b")


async def test_one_that_cannot_begin_its_part_leaves_it_to_the_others_and_tries_again_later(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    one, two = Process("one", databases, clock, movers), Process("two", databases, clock, movers)
    two.trouble = OSError("its disk is full")
    async with one.running(), two.running():
        await passing(clock, 15)
        assert movers.count("one") == SHARES
        two.trouble = None
        await passing(clock, 600)
        assert movers.counts("one", "two") == [2, 2]


async def test_one_that_does_not_reach_all_databases_keeps_nothing_from_the_others(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    cut_off = SharedDatabase(clock)
    cut_off.away = True
    one = Process("one", databases, clock, movers)
    two = Process("two", {"billing": databases["billing"], "orders": cut_off}, clock, movers)
    async with one.running(), two.running():
        await passing(clock, 15)
        assert movers.count("one") == SHARES


async def test_one_of_the_same_name_that_leaves_takes_nobody_along(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    """A successor may begin before its predecessor ends."""
    async with Process("one", databases, clock, movers).running():
        await passing(clock, 1)
        for database in databases.values():
            await database.present("one", "", 0)
        await passing(clock, 2 * LEASE_SECONDS)
        assert movers.count("one") == SHARES


async def test_while_the_database_is_away_nobody_moves_anything_and_afterwards_it_is_as_before(
    clock: VirtualClock, databases: dict[str, SharedDatabase], movers: Movers
) -> None:
    one, two = Process("one", databases, clock, movers), Process("two", databases, clock, movers)
    async with one.running(), two.running():
        await passing(clock, 8)
        databases["billing"].away = True
        await passing(clock, LEASE_SECONDS + 1)
        assert movers.of == {}
        databases["billing"].away = False
        await passing(clock, 2 * LEASE_SECONDS)
        assert movers.counts("one", "two") == [2, 2]
        assert movers.of[0] in ("one", "two")


@given(st.integers(1, 32), st.integers(1, 40))
def test_fair_parts_differ_by_one_at_most_and_are_everything(shares: int, processes: int) -> None:
    names = sorted(f"process {number}" for number in range(processes))
    parts = [fair(shares, name, names) for name in names]
    assert sum(parts) == shares
    assert max(parts) - min(parts) <= 1
