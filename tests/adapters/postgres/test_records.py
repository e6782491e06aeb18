"""Whoever looks into a module's database is told of a lost connection in our words, and may ask again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select

from insula.adapters.postgres.address import Address
from insula.adapters.postgres.records import PostgresRecords
from insula.kernel.errors import ConfigurationError
from support.notes import NOTES, add_note
from support.postgres import opened_on_postgres

END_ALL = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like 'insula look into%'"


async def end_connections(address: Address) -> None:
    """As the server does when it stops."""
    connection = await asyncpg.connect(address.url)
    await connection.execute(END_ALL)
    await connection.close()


@pytest.mark.parametrize(
    "look", [lambda records: records.exists(), lambda records: records.result(select(NOTES.c.text)).all()]
)
async def test_a_lost_connection_is_told_and_made_again(
    postgres_address: Address, look: Callable[[PostgresRecords], Any]
) -> None:
    async with opened_on_postgres(postgres_address) as database:
        await add_note(database, "first")
        records = PostgresRecords(postgres_address, "notes")
        try:
            found = await asyncio.to_thread(look, records)
            assert found
            await end_connections(postgres_address)
            with pytest.raises(ConfigurationError, match="the connection was lost"):
                await asyncio.to_thread(look, records)
            assert await asyncio.to_thread(look, records) == found
        finally:
            await asyncio.to_thread(records.close)
