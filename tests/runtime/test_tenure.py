"""Of several processes with the same modules one moves messages: the holder of a lease in each of their databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest

from insula.runtime.tenure import LEASE_SECONDS, Tenure
from insula.store.lease import acting_for
from insula.testing import VirtualClock, virtual_time
from support.leases import SharedDatabase


class Replica:
    """A process, and whether it moves messages now."""

    def __init__(
        self, name: str, databases: Mapping[str, SharedDatabase], clock: VirtualClock, *, begin_seconds: float = 0.0
    ) -> None:
        self.moves = False
        self.times = 0
        self.acts_for: dict[str, int | None] = {}
        self.seconds_to_end: list[float] = []
        self.clock = clock
        self.begin_seconds = begin_seconds
        self.databases = databases
        self.failures = 0
        self.tenure = Tenure(databases, name, clock, self.begin, self.end, failed=self.fail)

    def fail(self) -> None:
        self.failures += 1

    async def begin(self) -> None:
        if self.begin_seconds:
            await self.clock.sleep(self.begin_seconds)
        self.moves, self.times = True, self.times + 1
        held = {name: acting_for(each.leases) for name, each in self.databases.items()}
        self.acts_for = {name: lease and lease.token for name, lease in held.items()}

    async def end(self, seconds: float) -> None:
        self.moves = False
        self.seconds_to_end.append(seconds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Until the end of the block, where it stops in an orderly way."""
        self.task = asyncio.create_task(self.tenure.run())
        try:
            yield
        finally:
            await self.stop()

    async def crash(self) -> None:
        """It ends without a word."""
        self.task.cancel()
        await asyncio.wait([self.task])
        self.moves = False

    async def stop(self) -> None:
        """It ends and gives back what it holds."""
        await self.crash()
        await self.tenure.release()


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """A process of its own, in virtual time."""
    with virtual_time() as clock:
        yield clock


@pytest.fixture
def databases(clock: VirtualClock) -> dict[str, SharedDatabase]:
    return {name: SharedDatabase(clock) for name in ("orders", "billing")}


async def passing(clock: VirtualClock, seconds: float) -> None:
    await clock.run(clock.sleep(seconds))


async def test_one_of_two_moves_messages_and_the_other_follows_when_it_stops(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first, second = Replica("one", databases, clock), Replica("two", databases, clock)
    async with second_begins_later(clock, first, second):
        assert (first.moves, second.moves) == (True, False)
        await passing(clock, 10 * LEASE_SECONDS)
        assert (first.moves, first.times, second.times) == (True, 1, 0)
        await first.stop()
        await passing(clock, 2)
        assert second.moves
        assert second.acts_for == {
            name: database.lease and database.lease.token for name, database in databases.items()
        }


async def test_the_other_takes_over_from_one_that_is_not_heard_of_any_more(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first, second = Replica("one", databases, clock), Replica("two", databases, clock)
    async with second_begins_later(clock, first, second):
        await first.crash()
        await passing(clock, LEASE_SECONDS / 2)
        assert not second.moves
        await passing(clock, LEASE_SECONDS)
        assert second.moves


async def test_one_that_is_started_again_under_its_name_need_not_wait(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first, again = Replica("one", databases, clock), Replica("one", databases, clock)
    async with second_begins_later(clock, first, again):
        await first.crash()
        await passing(clock, 1.1)
        assert again.moves


async def test_nobody_moves_messages_who_has_the_lease_of_one_database_only(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    elsewhere = await databases["orders"].acquire("background", "elsewhere", 100)
    assert elsewhere is not None
    first = Replica("one", databases, clock)
    async with first.running():
        await passing(clock, 50)
        assert (first.moves, databases["billing"].lease) == (False, None)  # nor does it keep the other from anybody
        await databases["orders"].release(elsewhere)
        await passing(clock, 2)
        assert first.moves


async def test_one_that_cannot_renew_in_time_ends_before_another_can_begin(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first = Replica("one", databases, clock)
    async with first.running():
        await passing(clock, 1)
        databases["billing"].away = True
        until = databases["billing"].lease
        assert until is not None
        while first.moves:
            await passing(clock, 0.25)
        assert clock.now() <= until.until
        assert first.seconds_to_end == [0.0]
        databases["billing"].away = False
        await passing(clock, 2 * LEASE_SECONDS)
        assert (first.moves, first.times) == (True, 2)


async def test_one_whose_renewal_is_not_answered_ends_before_another_can_begin(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first = Replica("one", databases, clock)
    async with first.running():
        await passing(clock, 1)
        databases["billing"].silent = True
        until = databases["billing"].lease
        assert until is not None
        while first.moves:
            await passing(clock, 0.25)
        assert clock.now() <= until.until
        databases["billing"].silent = False
        await passing(clock, 2 * LEASE_SECONDS)
        assert (first.moves, first.times) == (True, 2)


async def test_one_that_reaches_some_databases_only_does_not_keep_them_from_another(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    cut_off = SharedDatabase(clock)
    cut_off.away = True
    first = Replica("one", {**databases, "orders": cut_off}, clock)
    second = Replica("two", databases, clock)
    async with second_begins_later(clock, first, second):
        await passing(clock, LEASE_SECONDS)
        assert (first.moves, second.moves) == (False, True)


async def test_one_that_takes_long_to_begin_keeps_its_leases_meanwhile(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first = Replica("one", databases, clock, begin_seconds=3 * LEASE_SECONDS)
    second = Replica("two", databases, clock)
    async with second_begins_later(clock, first, second):
        await passing(clock, 5 * LEASE_SECONDS)
        assert (first.moves, first.times, second.times) == (True, 1, 0)


async def test_one_that_loses_its_leases_while_it_begins_does_not_go_on_with_it(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first = Replica("one", databases, clock, begin_seconds=3 * LEASE_SECONDS)
    async with first.running():
        await passing(clock, 1)
        databases["orders"].forget()
        await databases["orders"].acquire("background", "elsewhere", 10 * LEASE_SECONDS)
        await passing(clock, 5 * LEASE_SECONDS)
        assert (first.moves, first.times) == (False, 0)


async def test_two_of_one_name_do_not_take_the_leases_from_each_other_again_and_again(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first, second = Replica("one", databases, clock), Replica("one", databases, clock)
    async with second_begins_later(clock, first, second):
        await passing(clock, 20 * LEASE_SECONDS)
        assert (first.moves, first.times, second.moves, second.times) == (False, 1, True, 1)


async def test_one_that_cannot_go_on_lets_a_standby_take_over_at_once(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first, second = Replica("one", databases, clock), Replica("two", databases, clock)
    async with second_begins_later(clock, first, second):
        first.tenure.give_up()
        await passing(clock, 2)
        assert (first.moves, second.moves) == (False, True)


async def test_one_that_cannot_go_on_and_is_alone_begins_anew(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first = Replica("one", databases, clock)
    async with first.running():
        await passing(clock, 1)
        for _ in range(2):  # also where it has just given way in vain
            first.tenure.give_up()
            await passing(clock, 5)
        assert (first.moves, first.times) == (True, 3)


async def test_one_that_hands_over_leaves_handlers_a_moment_and_takes_the_leases_again_when_it_may(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first, second = Replica("one", databases, clock), Replica("two", databases, clock)
    async with second_begins_later(clock, first, second):
        first.tenure.hand_over()
        await passing(clock, 1.5)
        assert (first.moves, second.moves) == (False, True)
        assert first.seconds_to_end == [2.0]  # the lease is its own still, and handlers under way may end
        await second.stop()
        await passing(clock, 2)
        assert first.moves


async def test_one_that_is_killed_after_a_hand_over_goes_on_at_once_under_its_name(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    first, again = Replica("one", databases, clock), Replica("one", databases, clock)
    async with first.running():
        await passing(clock, 1)
        first.tenure.hand_over()
        await passing(clock, 2)
        assert first.times == 2
        await first.crash()
        async with again.running():
            await passing(clock, 0.5)
            assert again.moves


async def test_one_that_is_told_to_look_notices_at_once_that_it_has_lost_a_lease(
    clock: VirtualClock, databases: dict[str, SharedDatabase]
) -> None:
    """As after a database has moved: where it is now, nobody holds anything."""
    first = Replica("one", databases, clock)
    async with first.running():
        await passing(clock, 1)
        databases["billing"].forget()
        first.tenure.look()
        await passing(clock, 1.5)
        assert (first.moves, first.times) == (True, 2)


async def test_what_could_not_be_begun_is_told(clock: VirtualClock, databases: dict[str, SharedDatabase]) -> None:
    first = Replica("one", databases, clock)
    databases["billing"].away = True
    async with first.running():
        await passing(clock, 3)
    assert first.failures >= 2


@asynccontextmanager
async def second_begins_later(clock: VirtualClock, first: Replica, second: Replica) -> AsyncIterator[None]:
    """Both run; the first has the leases."""
    async with first.running():
        await passing(clock, 0.5)
        async with second.running():
            await passing(clock, 2)
            yield
