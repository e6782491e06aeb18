"""A lease is held by one at a time, for a while, under a number that only grows."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from insula.adapters.postgres.address import Address
from support.postgres import opened_on_postgres

RUN_OUT = "update insula_lease set until = clock_timestamp() - interval '1 second'"


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
