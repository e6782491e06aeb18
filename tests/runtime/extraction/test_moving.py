"""A module moves between engines and places while it is written to: nothing is lost and nobody fails."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insula import Module, System
from insula.adapters.postgres.address import Address
from insula.kernel.errors import ConfigurationError
from insula.runtime.application import Application
from insula.runtime.extraction.progress import Phase
from insula.runtime.local.postgres import LocalPostgres
from insula.store.database import Scope
from insula.store.migration import MigrationFailed
from support.ledger import Open, ended, entries, everything_heard, kept, running, written_to
from support.postgres import TestDatabases, server_folder

EARLY = (Phase.PREPARING,)


@pytest.fixture(params=["postgresql", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where to: another engine, and another file."""
    if request.param == "postgresql":
        address: Address = request.getfixturevalue("empty_address")
        return address.url
    return f"sqlite:{tmp_path}/elsewhere/books.db"


async def test_a_module_that_moves_under_load_loses_nothing_and_fails_nobody(tmp_path: Path, place: str) -> None:
    async with running(tmp_path / "data") as application:
        async with written_to(application) as writing:
            await application.clock.sleep(0.2)
            await application.extractions.begin("books", place, "")
            progress = await ended(application)
            before = len(writing.entered)
            await application.clock.sleep(0.2)
        assert len(writing.entered) > before  # it went on
        assert application.wired.databases["books"].location != str(tmp_path / "data" / "books.db")
        assert await entries(application) == kept(writing.entered)
        assert await everything_heard(application, writing.entered)
        assert progress.held_seconds < 2
        assert set(progress.verified) >= {"accounts", "entries", "insula_log", "insula_inbox"}
        opened = await application.bus.call(Open(owner="the next one"))
    async with running(tmp_path / "data") as application:  # found again without a word in the configuration
        assert await entries(application) == kept(writing.entered)
        assert await application.bus.call(Open(owner="one more")) == opened + 1


async def test_a_module_goes_back_with_what_has_changed_since(tmp_path: Path, place: str) -> None:
    async with running(tmp_path / "data") as application:
        async with written_to(application) as writing:
            await application.extractions.begin("books", place, "")
            await ended(application)
            await application.clock.sleep(0.2)
            await application.extractions.back("books")
            await ended(application)
            await application.clock.sleep(0.2)
        assert application.wired.databases["books"].location == str(tmp_path / "data" / "books.db")
        assert await entries(application) == kept(writing.entered)
        assert await everything_heard(application, writing.entered)
    async with running(tmp_path / "data") as application:
        assert await entries(application) == kept(writing.entered)
        await application.extractions.begin("books", place, "")  # and there again: the place is known
        await ended(application)
        assert await entries(application) == kept(writing.entered)


async def test_what_was_given_up_before_the_switch_leaves_the_module_where_it_is(tmp_path: Path, place: str) -> None:
    async with running(tmp_path / "data") as application:
        async with written_to(application) as writing:
            await application.extractions.begin("books", place, "")
            assert (await application.extractions.abort("books")).phase is Phase.ABORTED
            await application.clock.sleep(0.1)
            names = await application.wired.databases["books"].read("select name from sqlite_master")
            assert [name for (name,) in names if "changed" in name or "captured" in name] == []
            await application.extractions.begin("books", place, "")  # nothing is in the way of another try
            await ended(application)
            await application.clock.sleep(0.1)
        assert await entries(application) == kept(writing.entered)


async def test_after_the_end_there_is_no_way_back_and_the_configuration_may_say_so(tmp_path: Path, place: str) -> None:
    async with running(tmp_path / "data") as application:
        await application.extractions.begin("books", place, "")
        await ended(application)
        await application.extractions.finish("books", remove=True)
        assert not (tmp_path / "data" / "books.db").exists()
        with pytest.raises(ConfigurationError, match="no extraction has switched"):
            await application.extractions.back("books")
        await application.bus.call(Open(owner="after the end"))
    async with running(tmp_path / "data", addresses={"books": place}) as application:
        await application.bus.call(Open(owner="configured"))
    with pytest.raises(ConfigurationError, match="but it was moved to"):
        async with running(tmp_path / "data", addresses={"books": "sqlite:somewhere"}):
            raise AssertionError("it started")


async def test_what_was_broken_off_goes_on_after_a_restart(tmp_path: Path, place: str) -> None:
    async with running(tmp_path / "data") as application, written_to(application) as writing:
        await application.extractions.begin("books", place, "")
    first = set(writing.entered)
    async with running(tmp_path / "data") as application:
        progress = application.extractions.progress("books")
        assert progress is not None
        if progress.phase is not Phase.SWITCHED:
            assert "it was broken off" in progress.problem
            with pytest.raises(ConfigurationError, match="under way"):
                await application.extractions.begin("books", "sqlite:another.db", "")
        await application.extractions.begin("books", place, "")
        await ended(application)
        assert await entries(application) == kept(first)


@pytest.fixture
def another_address(postgres_databases: TestDatabases) -> Iterator[Address]:
    """A second database with nothing in it."""
    address = asyncio.run(postgres_databases.empty(f"another_{os.getpid()}"))
    yield address
    asyncio.run(postgres_databases.drop(address))


async def test_a_module_moves_from_postgresql_to_wherever_and_back(
    tmp_path: Path, place: str, another_address: Address
) -> None:
    there = {"addresses": {"books": another_address.url}}
    async with running(tmp_path / "data", **there) as application:
        async with written_to(application) as writing:
            await application.clock.sleep(0.1)
            await application.extractions.begin("books", place, "")
            await ended(application)
            await application.clock.sleep(0.1)
        assert application.wired.databases["books"].location not in str(another_address)
        assert await entries(application) == kept(writing.entered)
        assert await everything_heard(application, writing.entered)
    async with running(tmp_path / "data", **there) as application:
        assert await entries(application) == kept(writing.entered)
        await application.bus.call(Open(owner="meanwhile"))
        await application.extractions.back("books")
        await ended(application)
        assert application.wired.databases["books"].location == str(another_address)
        (owned,) = await application.wired.databases["books"].read("select owner from accounts where number = 9")
        assert tuple(owned) == ("meanwhile",)
    async with running(tmp_path / "data", **there) as application:
        assert await entries(application) == kept(writing.entered)
        await application.bus.call(Open(owner="in use again"))


async def test_one_of_several_processes_moves_a_module_only_when_it_is_alone(
    tmp_path: Path, empty_address: Address, another_address: Address, postgres_databases: TestDatabases
) -> None:
    hearing = await postgres_databases.empty(f"hearing_{os.getpid()}")
    there = {"addresses": {"books": another_address.url, "hearing": hearing.url}}
    async with running(tmp_path / "data", holder="one", **there) as application:
        link = await another_address.connect("insula books 1", {})
        with pytest.raises(ConfigurationError, match=r"other processes have its database open \(insula books 1\)"):
            await application.extractions.begin("books", empty_address.url, "")
        await link.close()
        async with written_to(application) as writing:
            await application.extractions.begin("books", empty_address.url, "")
            await ended(application)
            await application.clock.sleep(0.2)
        assert await entries(application) == kept(writing.entered)
        assert await everything_heard(application, writing.entered)  # it holds the lease in the new place too
    await postgres_databases.drop(hearing)


async def test_a_table_that_was_made_anew_meanwhile_is_copied_anew(tmp_path: Path, place: str) -> None:
    async with running(tmp_path / "data") as application, written_to(application) as writing:
        await application.extractions.begin("books", place, "")
        while (progress := application.extractions.progress("books")) and progress.phase in EARLY:
            await application.clock.sleep(0)
        await application.extractions.close()
    with sqlite3.connect(tmp_path / "data" / "books.db") as file:
        for (name,) in file.execute("select name from sqlite_master where name like 'insula_captured_entries%'"):
            file.execute(f'drop trigger "{name}"')
        file.execute("insert into entries values (1, 100000, 5)")
    file.close()
    async with running(tmp_path / "data") as application:
        await application.extractions.begin("books", place, "")
        await ended(application)
        assert await entries(application) == {*kept(writing.entered), (1, 100000)}


async def test_what_does_not_fit_is_told_and_the_module_stays_where_it_is(
    tmp_path: Path, empty_address: Address
) -> None:
    async with running(tmp_path / "data") as application:
        await application.bus.call(Open(owner="ann"))
    with sqlite3.connect(tmp_path / "data" / "books.db") as file:
        file.execute("insert into entries values (1, 1, 'a lot')")
    file.close()
    async with running(tmp_path / "data") as application:
        await application.extractions.begin("books", empty_address.url, "")
        progress = await ended(application, Phase.FAILED)
        assert "table entries: the target cannot take column cents" in progress.problem
        assert "a lot" not in progress.problem
        await application.wired.databases["books"].perform(_mend, Scope("mending"))
        await application.extractions.begin("books", empty_address.url, "")
        await ended(application)
        assert await entries(application) == {(1, 1)}


async def _mend(work: Any) -> None:
    await work.execute("update entries set cents = 7")


async def test_a_table_that_the_module_does_not_declare_is_refused_by_name(tmp_path: Path, place: str) -> None:
    async with running(tmp_path / "data") as application:
        books = application.wired.databases["books"]
        await books.perform(_make_another, Scope("making"))
        with pytest.raises(ConfigurationError, match="table another would be lost"):
            await application.extractions.begin("books", place, "")
        assert application.extractions.progress("books") is None
        await books.perform(_drop_another, Scope("dropping"))
        await application.extractions.begin("books", place, "")  # nothing was left in the way
        await ended(application)


async def test_migrations_that_only_the_source_takes_can_be_mended(tmp_path: Path, empty_address: Address) -> None:
    migration = tmp_path / "migrations" / "0001_made.sql"
    migration.parent.mkdir()
    migration.write_text("create table made (n integer primary key autoincrement, at text);")
    system = System("one", Module("books", migrations=migration.parent))
    async with Application(system, directory=tmp_path / "data") as application:
        await application.wired.databases["books"].perform(_make_two, Scope("making"))
        with pytest.raises(MigrationFailed, match=r"0001_made\.sql.*autoincrement"):
            await application.extractions.begin("books", empty_address.url, "")
    migration.unlink()
    migration.with_suffix(".py").write_text(MIGRATION)
    with sqlite3.connect(tmp_path / "data" / "books.db") as file:  # as if it had always been so
        file.execute(
            "update insula_migration set checksum = ? where owner = 'books'",
            (hashlib.sha256(MIGRATION.encode()).hexdigest(),),
        )
    file.close()
    async with Application(system, directory=tmp_path / "data") as application:
        await application.extractions.begin("books", empty_address.url, "")
        await ended(application)
        books = application.wired.databases["books"]
        await books.perform(_make_two, Scope("making"))
        assert [row.n for row in await books.read("select n from made order by n")] == [1, 2, 3, 4]


MIGRATION = """
from sqlalchemy import Column, Integer, MetaData, String, Table

def upgrade(connection):
    tables = MetaData()
    Table("made", tables, Column("n", Integer, primary_key=True), Column("at", String))
    tables.create_all(connection)
"""


async def _make_two(work: Any) -> None:
    await work.execute("insert into made (at) values ('x'), ('y')")


async def _make_another(work: Any) -> None:
    await work.execute("create table another (n integer primary key)")


async def _drop_another(work: Any) -> None:
    await work.execute("drop table another")


async def test_a_target_that_goes_away_stops_nobody_and_it_goes_on_when_that_is_back(tmp_path: Path) -> None:
    with server_folder() as folder, LocalPostgres(folder / "server", durable=False) as server:
        databases = TestDatabases(server.address)
        await databases.prepare()
        target = await databases.empty("target")
        async with running(tmp_path / "data") as application:
            async with written_to(application) as writing:
                await application.extractions.begin("books", target.url, "")
                while (progress := application.extractions.progress("books")) and progress.phase in EARLY:
                    await application.clock.sleep(0)
                await asyncio.to_thread(server.kill)
                progress = await ended(application, Phase.FAILED)
                assert "the database does not answer" in progress.problem
                before = len(writing.entered)
                await application.clock.sleep(0.1)
                assert len(writing.entered) > before
                await asyncio.to_thread(server.start)
                await application.extractions.begin("books", target.url, "")
                await ended(application)
                await application.clock.sleep(0.1)
            assert await entries(application) == kept(writing.entered)


async def test_a_place_that_is_not_empty_is_refused_and_nothing_is_left_behind(
    tmp_path: Path, postgres_address: Address
) -> None:
    async with running(tmp_path / "data") as application:
        with pytest.raises(ConfigurationError, match=r"is not empty: it has \d+ tables"):
            await application.extractions.begin("books", postgres_address.url, "")
        assert application.extractions.progress("books") is None
