"""Handlers of queries read from a real replica, and from the server itself while that is away."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import insert, select, text

from insula.adapters.postgres.address import Address
from insula.adapters.postgres.database import PostgresDatabase
from insula.kernel.clock import SystemClock
from insula.runtime.local.postgres import LocalPostgres, programs
from insula.store.database import Scope
from support.notes import NOTES, TABLES
from support.postgres import TestDatabases, server_folder

BEHIND = "select pg_last_wal_replay_lsn() < $1::pg_lsn"
ASK = text("select pg_is_in_recovery()")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A server and its replica."""
    with server_folder() as folder, LocalPostgres(folder / "primary", durable=False) as primary:
        replica = LocalPostgres(folder / "replica", durable=False)
        (folder / "replica").mkdir()
        replica._give_away()
        subprocess.run(
            [str(programs() / "pg_basebackup"), "-d", primary.address, "-D", str(folder / "replica" / "data"), "-R",
             "--checkpoint=fast"], check=True, capture_output=True, **replica._as_account(),
        )  # fmt: skip
        with replica:
            yield primary, replica


async def test_queries_read_from_the_replica_and_commands_from_the_server(
    servers: tuple[LocalPostgres, LocalPostgres], caplog: pytest.LogCaptureFixture
) -> None:
    primary, replica = servers
    databases = TestDatabases(primary.address)
    await databases.prepare()
    address = await databases.make("replicated")
    parts = urlsplit(address.url)
    copy = Address(address.url.replace(f":{parts.port}/", f":{replica.port}/"))
    await caught_up(primary, replica)
    database = PostgresDatabase(address, "notes", SystemClock(), replica=copy)
    await database.start(TABLES, None)
    try:

        async def write(unit: object) -> None:
            await unit.execute(insert(NOTES), {"text": "hello"})  # type: ignore[attr-defined]
            assert await unit.scalar(ASK) is False  # type: ignore[attr-defined]

        await database.perform(write, Scope("a command"))
        await caught_up(primary, replica)
        assert await database.reading("a query").scalar(ASK) is True
        assert await database.reading("a query").scalar(select(NOTES.c.text)) == "hello"
        assert await database.read_in_thread(lambda unit: unit.scalar(ASK), "a query") is True
        assert (await database.read(ASK))[0][0] is False  # the framework's own reads must not be behind
        replica.kill()
        assert await database.reading("a query").scalar(ASK) is False
        assert await database.read_in_thread(lambda unit: unit.scalar(ASK), "a query") is False
        assert "the replica does not answer" in caplog.text
    finally:
        await database.close()


async def caught_up(primary: LocalPostgres, replica: LocalPostgres) -> None:
    """Wait until the replica has everything that is committed now."""
    one, other = (
        await asyncpg.connect(primary.address),
        await asyncpg.connect(primary.address.replace(f":{primary.port}/", f":{replica.port}/")),
    )
    written = await one.fetchval("select pg_current_wal_lsn()")
    async with asyncio.timeout(20):
        while await other.fetchval(BEHIND, written):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
    await one.close()
    await other.close()
