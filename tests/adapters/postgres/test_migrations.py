"""Migrations on PostgreSQL: each once, in a transaction, whoever else starts at the same time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from insula.adapters.postgres.address import Address
from insula.adapters.postgres.database import PostgresDatabase
from insula.adapters.postgres.link import Link
from insula.adapters.postgres.records import PostgresRecords
from insula.adapters.postgres.schema import create_missing
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError
from insula.store.migration import MigrationEdited, MigrationFailed


async def migrated(address: Address, folder: Path | None, tables: MetaData | None = None) -> Any:
    """What the start of a module did, beside others that may start too."""
    database = PostgresDatabase(address, "shop", SystemClock(), alone=False)
    done = await database.start(tables, folder)
    rows = await database.read("select table_name from information_schema.tables where table_schema = 'public'")
    await database.close()
    return list(done), {row[0] for row in rows}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations, one of each kind."""
    (tmp_path / "0001_products.sql").write_text(
        "create table products (id integer primary key, name text not null);\n"
        "insert into products values (1, 'semi;colon');\n"
    )
    (tmp_path / "0002_stock.py").write_text(
        "from sqlalchemy import text\n\n\ndef upgrade(connection):\n"
        "    connection.execute(text('create table stock (id integer primary key)'))\n"
    )
    return tmp_path


async def test_they_run_once_and_in_order(postgres_address: Address, folder: Path) -> None:
    done, tables = await migrated(postgres_address, folder)
    assert done == ["shop: applied 0001_products", "shop: applied 0002_stock"]
    assert {"products", "stock"} <= tables
    assert (await migrated(postgres_address, folder))[0] == []


async def test_processes_that_start_at_once_share_them(postgres_address: Address, folder: Path) -> None:
    started = await asyncio.gather(*(migrated(postgres_address, folder) for _ in range(3)))
    assert sorted(line for done, _ in started for line in done) == [
        "shop: applied 0001_products", "shop: applied 0002_stock",
    ]  # fmt: skip


async def test_one_that_fails_leaves_the_database_as_before_it(postgres_address: Address, folder: Path) -> None:
    (folder / "0003_broken.sql").write_text("create table half (n int); create table products (n int);")
    with pytest.raises(MigrationFailed, match=r"0003_broken\.sql: .*already exists; the database is as before"):
        await migrated(postgres_address, folder)
    (folder / "0003_broken.sql").write_text("create table whole (n int);")
    _, tables = await migrated(postgres_address, folder)
    assert "whole" in tables
    assert "half" not in tables


async def test_one_that_was_edited_is_refused_and_found_before(postgres_address: Address, folder: Path) -> None:
    await migrated(postgres_address, folder)
    (folder / "0001_products.sql").write_text("select 1;")
    with pytest.raises(MigrationEdited, match="edited after it was applied"):
        await migrated(postgres_address, folder)
    records = PostgresRecords(postgres_address, "shop")
    assert "edited after it was applied" in records.faults(None, folder)[0]
    records.close()


async def test_one_that_changes_insulas_tables_is_refused(postgres_address: Address, folder: Path) -> None:
    (folder / "0003_own.sql").write_text("create table a (n int);\ndelete from insula_log;")
    with pytest.raises(MigrationFailed, match="insula_log belongs to Insula"):
        await migrated(postgres_address, folder)


async def test_a_declared_column_that_is_missing_is_told(postgres_address: Address) -> None:
    tables = MetaData()
    Table("notes", tables, Column("id", Integer), Column("colour", Integer))
    with pytest.raises(ConfigurationError, match="table notes has no column colour; write a migration"):
        await migrated(postgres_address, None, tables)


async def test_processes_that_start_together_on_a_new_database_make_its_tables_once(empty_address: Address) -> None:
    tables = MetaData()
    for number in range(5):
        Table(f"table_{number}", tables, Column("id", Integer, primary_key=True))
    links = [Link(await empty_address.connect("test", {}), "shop") for _ in range(6)]
    await asyncio.gather(*(create_missing(link, tables, "shop") for link in links))
    found = await links[0].connection.fetch("select count(*) from pg_tables where tablename like 'table_%'")
    for link in links:
        await link.connection.close()
    assert found[0][0] == 5
