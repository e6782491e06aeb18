"""A lease is held by one at a time, for a while, under a number that only grows."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy import text

from insula.adapters.postgres.address import Address
from insula.kernel.clock import SystemClock
from insula.messages import Envelope
from insula.store.database import Scope, Unit
from insula.store.errors import LeaseTaken
from insula.store.lease import Present, act_for
from insula.store.unit_of_work import SyncUnitOfWork
from support.postgres import opened_on_postgres

SLEEPING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
RUN_OUT = "update insula_lease set until = clock_timestamp() - interval '1 second'"


def noted(number: int) -> Envelope:
    """An event for the log."""
    return Envelope(
        id=f"event-{number}", source="notes", type="notes.Noted", kind="event", version=1, subject=None,
        time=SystemClock().now(), data=b"{}", correlation_id="c", causation_id=None, traceparent=None, caller="x",
    )  # fmt: skip


async def run_out(address: Address) -> None:
    """Let so much time pass that every lease has ended."""
    connection = await asyncpg.connect(address.url)
    await connection.execute(RUN_OUT)
    await connection.close()


async def test_one_holder_at_a_time_gets_it(postgres_address: Address) -> None:
    async with opened_on_postgres(postgres_address) as database:
        held = await asyncio.gather(*(database.leases.acquire("relay", str(holder), 60) for holder in range(8)))
        (lease,) = [each for each in held if each is not None]
        assert lease.token == 1
        assert await database.leases.acquire("other", "b", 60) is not None


async def test_what_has_run_out_goes_to_the_next_with_a_greater_token(postgres_address: Address) -> None:
    async with opened_on_postgres(postgres_address) as database:
        first = await database.leases.acquire("relay", "a", 60)
        renewed = await database.leases.renew(first, 120)
        assert (renewed.token, renewed.until > first.until) == (1, True)
        await run_out(postgres_address)
        assert await database.leases.renew(renewed, 60) is None
        second = await database.leases.acquire("relay", "b", 60)
        assert second.token == 2
        assert await database.leases.renew(first, 60) is None
        await database.leases.release(first)  # too late, and so without effect
        assert await database.leases.acquire("relay", "a", 60) is None


async def test_what_is_given_back_is_free_at_once(postgres_address: Address) -> None:
    async with opened_on_postgres(postgres_address) as database:
        first = await database.leases.acquire("relay", "a", 60)
        await database.leases.release(first)
        assert (await database.leases.acquire("relay", "b", 60)).token == 2


async def test_a_time_that_is_not_positive_is_refused(postgres_address: Address) -> None:
    async with opened_on_postgres(postgres_address) as database:
        with pytest.raises(ValueError, match="seconds=0"):
            await database.leases.acquire("relay", "a", 0)


async def test_what_the_holder_stores_is_refused_once_another_has_the_lease(postgres_address: Address) -> None:
    async def remember(position: int) -> None:
        async def body(unit: Unit) -> None:
            await unit.save_cursor("log of orders", position)

        await database.perform(body, Scope("cursor"))

    async with opened_on_postgres(postgres_address, alone=False) as database:
        act_for(database.leases, await database.leases.acquire("background", "a", 60))
        await asyncio.gather(*(remember(7) for _ in range(5)))  # in one batch
        await run_out(postgres_address)
        await remember(8)  # nobody else has it yet
        await database.leases.acquire("background", "b", 60)
        with pytest.raises(LeaseTaken, match="another process has taken the lease background"):
            await remember(9)
        assert await database.cursor("log of orders") == 8


async def test_others_of_its_batch_are_stored_when_one_is_refused(postgres_address: Address) -> None:
    async def publish(unit: Unit) -> None:
        await unit.append([noted(1)])

    async def remember(unit: Unit) -> None:
        await unit.save_cursor("log of orders", 9)

    async with opened_on_postgres(postgres_address, alone=False) as database:
        act_for(database.leases, await database.leases.acquire("background", "a", 60))
        await run_out(postgres_address)
        await database.leases.acquire("background", "b", 60)
        results = await asyncio.gather(
            database.perform(publish, Scope("a handler")),
            database.perform(remember, Scope("cursor")),
            return_exceptions=True,
        )
        assert [type(each) for each in results] == [type(None), LeaseTaken]
        assert await database.log_head() == 1


async def test_the_lease_cannot_be_taken_in_the_middle_of_what_it_allows(postgres_address: Address) -> None:
    async with opened_on_postgres(postgres_address, alone=False) as database:
        lease = await database.leases.acquire("background", "a", 60)
        assert lease is not None
        await run_out(postgres_address)
        holder = await asyncpg.connect(postgres_address.url)
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("select insula_fence($1, $2)", lease.name, lease.token)
        taking = asyncio.create_task(database.leases.acquire("background", "b", 60))
        done, _ = await asyncio.wait([taking], timeout=0.2)
        assert not done
        await transaction.commit()
        assert (await taking).token == lease.token + 1  # type: ignore[union-attr]
        await holder.close()


async def test_it_is_renewed_also_while_slow_handlers_have_every_connection(postgres_address: Address) -> None:
    async def slow(unit: Unit) -> None:
        await unit.execute("select pg_sleep(30)")

    async def handling() -> None:
        await database.perform(slow, Scope("slow"))

    other = await asyncpg.connect(postgres_address.url)
    async with opened_on_postgres(postgres_address, connections=4, busy_timeout_seconds=1) as database:
        lease = await database.leases.acquire("relay", "a", 60)
        handler = asyncio.create_task(handling())
        while not await other.fetchval(SLEEPING):  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert await database.leases.renew(lease, 60) is not None
        handler.cancel()
        await asyncio.wait([handler])
    await other.close()


async def test_a_lease_that_is_renewed_while_a_handler_works_does_not_make_it_run_again(
    postgres_address: Address,
) -> None:
    async with opened_on_postgres(postgres_address, alone=False) as database:
        lease = await database.leases.acquire("share 1 of 4", "a", 60)
        act_for(database.leases, lease)
        loop, runs = asyncio.get_running_loop(), 0

        def work(unit: SyncUnitOfWork) -> None:
            nonlocal runs
            runs += 1
            unit.execute(text("select count(*) from insula_meta"))
            asyncio.run_coroutine_threadsafe(database.leases.renew(lease, 60), loop).result()

        async def remember(unit: Unit) -> None:
            await unit.save_cursor("log of orders", 7)

        await database.perform_in_thread(work, Scope("a long handler", finally_=[remember]))
        assert runs == 1


async def test_who_is_there_is_told_in_the_order_of_coming_until_it_leaves_or_falls_silent(
    postgres_address: Address,
) -> None:
    async with opened_on_postgres(postgres_address, alone=False) as database:
        leases = database.leases
        await leases.present("b", "", 60)
        await leases.present("a", "newer", 60)
        assert await leases.present("b", "behind", 60) == [Present("b", "behind"), Present("a", "newer")]
        assert await leases.present("b", "", 0) == [Present("a", "newer")]
        assert await leases.present("b", "", 60) == [Present("a", "newer"), Present("b", "")]  # it came again
        connection = await asyncpg.connect(postgres_address.url)
        await connection.execute("update insula_process set until = '-infinity' where holder = 'a'")
        await connection.close()
        assert await leases.present("b", "", 60) == [Present("b", "")]
