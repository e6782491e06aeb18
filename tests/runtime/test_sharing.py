"""The processes of a group divide the shares among themselves evenly, by leases, whoever comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel.errors import Unavailable
from insula.runtime.sharing import Sharing, fair
from insula.runtime.tenure import LEASE_SECONDS
from insula.store.lease import Lease, acting_for
from insula.testing import VirtualClock, virtual_time

SHARES = 4


class SharedDatabase:
    """The leases of one database, as all processes see them."""

    def __init__(self, clock: VirtualClock) -> None:
        self.leases = self
        self.clock = clock
        self.held: dict[str, Lease] = {}
        self.there: dict[str, float] = {}
        self.away = False

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        self._answer()
        before = self.held.get(name)
        if before is not None and before.until >= self.clock.now() and before.holder != holder:
            return None
        until = self.clock.now() + timedelta(seconds=seconds)
        self.held[name] = Lease(name, holder, 1 if before is None else before.token + 1, until)
        return self.held[name]

    async def renew(self, lease: Lease, seconds: float) -> Lease | None:
        self._answer()
        held = self.held[lease.name]
        if held.token != lease.token or held.until < self.clock.now():
            return None
        self.held[lease.name] = Lease(
            lease.name, lease.holder, lease.token, self.clock.now() + timedelta(seconds=seconds)
        )
        return self.held[lease.name]

    async def release(self, lease: Lease) -> None:
        self._answer()
        held = self.held[lease.name]
        if held.token == lease.token:
            self.held[lease.name] = Lease(held.name, held.holder, held.token, self.clock.now() - timedelta(seconds=1))

    async def present(self, holder: str, seconds: float) -> Sequence[str]:
        self._answer()
        self.there.pop(holder, None)
        if seconds:
            self.there[holder] = self.clock.monotonic() + seconds
        return sorted(name for name, until in self.there.items() if until >= self.clock.monotonic())

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("the database does not answer")


class Movers:
    """Who moves which share now. No share may ever have two."""

    def __init__(self) -> None:
        self.of: dict[int, str] = {}
        self.moves = 0

    def count(self, name: str) -> int:
        return list(self.of.values()).count(name)

    def counts(self, *names: str) -> list[int]:
        return [self.count(name) for name in names]


class Process:
    """One process, that moves the shares it has."""

    def __init__(self, name: str, databases: dict[str, SharedDatabase], clock: VirtualClock, movers: Movers) -> None:
        self.name = name
        self.databases = databases
        self.movers = movers
        self.sharing = Sharing(databases, name, clock, SHARES, self.begin, self.end)
        self.tokens: dict[int, list[int]] = {}

    async def begin(self, share: int) -> None:
        assert share not in self.movers.of, f"{self.movers.of[share]} and {self.name} move share {share}"
        self.movers.of[share] = self.name
        self.movers.moves += 1
        held = [acting_for(database) for database in self.databases.values()]
        assert all(lease is not None and lease.name == f"share {share}" for lease in held)

    async def end(self, share: int, seconds: float) -> None:
        if self.movers.of.get(share) == self.name:
            del self.movers.of[share]

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
        for share in range(SHARES):
            await self.end(share, 0.0)


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


@given(st.integers(1, 32), st.integers(1, 40))
def test_fair_parts_differ_by_one_at_most_and_are_everything(shares: int, processes: int) -> None:
    names = sorted(f"process {number}" for number in range(processes))
    parts = [fair(shares, name, names) for name in names]
    assert sum(parts) == shares
    assert max(parts) - min(parts) <= 1
