"""Connections: bounded, waited for in turn, replaced when the server has gone, and one process a database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from insula.adapters.postgres.address import Address
from insula.adapters.postgres.database import PostgresDatabase
from insula.adapters.postgres.provision import provision
from insula.kernel.clock import SystemClock
from insula.kernel.errors import Failure, Unavailable
from insula.runtime.local.postgres import LocalPostgres
from insula.store.errors import AlreadyOpen
from support.notes import NOTES, NoteTaken, add_note, scope, texts, together
from support.postgres import opened_on_postgres, server_folder


@pytest.fixture
def server() -> Iterator[LocalPostgres]:
    """A server that may be stopped."""
    with server_folder() as folder, LocalPostgres(folder / "server", durable=False) as started:
        yield started


async def until_works(action: Any) -> Any:
    """The value of an action once the server is noticed to be back, ten seconds at most."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await action()
            except Failure:
                await asyncio.sleep(0)


def holding(go_on: asyncio.Event, entered: asyncio.Semaphore) -> Any:
    async def peeking(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "x"})
        entered.release()
        await work.execute("select pg_sleep(0.3)")

    return peeking


async def test_units_wait_for_a_connection_in_turn_and_are_refused_after_a_while(postgres_address: Address) -> None:
    async with opened_on_postgres(postgres_address, connections=4, busy_timeout_seconds=0.2) as database:
        entered = asyncio.Semaphore(0)
        long = [database.perform(holding(asyncio.Event(), entered), scope(f"notes.{number}")) for number in range(4)]
        outcomes = await together(*long)
        refused = [each for each in outcomes if each is not None]
        assert outcomes[0] is None
        assert refused
        assert all(isinstance(each, Unavailable) for each in refused)
        assert "connections were busy for 0.2 s" in str(refused[0])
        await add_note(database, "next")


async def test_more_units_than_connections_all_get_through(postgres_address: Address) -> None:
    async with opened_on_postgres(postgres_address, connections=4) as database:
        assert await together(*(add_note(database, str(number)) for number in range(50))) == [None] * 50
        assert len(await texts(database)) == 50


async def test_a_second_process_is_refused_while_the_first_one_runs(
    postgres_address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insula.adapters.postgres.keeper._TRIES", 2)
    async with opened_on_postgres(postgres_address):
        second = PostgresDatabase(postgres_address, "notes", SystemClock())
        with pytest.raises(AlreadyOpen, match=r"notes: insula notes \d+ at .* has this database open"):
            await second.start(None, None)
    async with opened_on_postgres(postgres_address) as database:
        await add_note(database, "free again")


async def test_two_processes_that_may_run_beside_each_other_hear_of_each_others_messages(
    postgres_address: Address,
) -> None:
    async def publishing(work: Any) -> None:
        work.publish(NoteTaken(text="x"))

    async with (
        opened_on_postgres(postgres_address, alone=False) as one,
        opened_on_postgres(postgres_address, alone=False) as two,
    ):
        heard, rang = list[frozenset[str]](), asyncio.Event()

        def listen(types: frozenset[str]) -> None:
            heard.append(types)
            rang.set()

        two.on_append(listen)
        assert await two.log_head() == 0
        units = [each.perform(publishing, scope(f"n{number}")) for number in range(10) for each in (one, two)]
        assert await together(*units) == [None] * 20
        async with asyncio.timeout(5):
            await rang.wait()
        assert frozenset({NoteTaken.__message_name__}) in heard
        positions = [each.position for each in await one.log_after(0, (), 100)]
        assert positions == list(range(1, 21))


async def test_what_a_process_stored_that_died_before_it_could_tell_is_found_by_the_others(
    postgres_address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def publishing(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "x"})  # with SQL of its own: stored without a position first
        work.publish(NoteTaken(text="x"))

    monkeypatch.setattr("insula.adapters.postgres.keeper._UNHEARD_SECONDS", 0.3)
    async with opened_on_postgres(postgres_address, alone=False) as one:
        rang = asyncio.Event()
        one.on_append(lambda _: rang.set())
        assert await one.log_head() == 0
        async with opened_on_postgres(postgres_address, alone=False) as two:
            await two.perform(publishing, scope("n"))
            two.let_go()
        async with asyncio.timeout(5):
            while await one.log_head() == 0:
                rang.clear()
                await rang.wait()
        assert len(await one.log_after(0, (), 100)) == 1


async def test_the_server_may_be_killed_and_come_back(server: LocalPostgres) -> None:
    address = Address(f"postgresql://notes:own@127.0.0.1:{server.port}/notes")
    await provision(server.address, address)
    async with opened_on_postgres(address) as database:
        await add_note(database, "before")
        server.kill()
        with pytest.raises(Unavailable, match="does not answer"):
            await add_note(database, "lost")
        with pytest.raises(Unavailable, match="does not answer"):
            await texts(database)
        server.start()
        await until_works(lambda: add_note(database, "after"))
        assert (await texts(database))[0] == "before"
        assert (await texts(database))[-1] == "after"


async def test_an_idle_connection_that_the_server_closed_is_not_noticed_by_a_read(postgres_address: Address) -> None:
    async with opened_on_postgres(postgres_address) as database:
        await add_note(database, "kept")
        assert await texts(database) == ["kept"]
        administrator = await asyncpg.connect(postgres_address.url)
        await administrator.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        await administrator.close()
        assert await texts(database) == ["kept"]


async def test_an_open_transaction_elsewhere_keeps_no_message_back_and_shows(postgres_address: Address) -> None:
    async def publishing(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "x"})
        work.publish(NoteTaken(text="x"))

    async with opened_on_postgres(postgres_address) as database:
        other = await asyncpg.connect(postgres_address.url)
        await other.execute("begin isolation level serializable")
        await other.execute("insert into notes (text) values ('open')")
        for number in range(3):
            await database.perform(publishing, scope(f"n{number}"))
        assert await database.log_head() == 3
        lag = await database.lag()
        assert lag.unnumbered == 0
        assert lag.oldest_transaction_seconds > 0
        assert re.fullmatch(r"process \d+ \(no name, idle in transaction\)", lag.oldest_transaction)
        await other.close()


async def test_what_another_process_left_unnumbered_is_numbered_at_the_start(postgres_address: Address) -> None:
    other = await asyncpg.connect(postgres_address.url)
    await other.execute(
        "insert into insula_outgoing (message_id, kind, type, schema_version, headers, data, time)"
        " values ('m', 'event', 'Went', 1, '{\"correlation_id\": \"m\"}', '{}', now())"
    )
    await other.close()
    async with opened_on_postgres(postgres_address) as database:
        (envelope,) = await database.log_after(0, (), 10)
        assert (envelope.position, envelope.type) == (1, "Went")
