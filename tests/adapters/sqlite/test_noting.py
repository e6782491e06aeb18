"""SQLite says nothing of a row that REPLACE removes for another one; it is noted all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, text

from insula.store.moved_rows import MovedTable, changed_keys
from support.notes import opened, scope

GUESTS = MovedTable.of(
    Table("guests", MetaData(), Column("number", Integer, primary_key=True), Column("name", String, unique=True)),
    ["number"],
)


async def test_a_row_that_gives_way_to_another_is_noted(tmp_path: Path) -> None:
    async with opened(tmp_path / "notes.db") as database:
        side = database.side()
        await side.execute(["create table guests (number integer primary key, name text unique)"])

        async def replace(work: Any) -> None:
            await work.execute(text("insert or replace into guests (number, name) values (2, 'ann')"))

        async def update(work: Any) -> None:
            await work.execute(text("insert into guests (number, name) values (3, 'bob')"))
            await work.execute(text("update or replace guests set name = 'bob' where number = 2"))

        await side.execute(["insert into guests values (1, 'ann')"])
        async with side.snapshot() as view:
            await side.execute(await view.run(lambda sql: side.capture(sql, GUESTS)))
        await database.perform(replace, scope("replacing"))
        async with side.snapshot() as view:
            assert set((await view.run(lambda sql: changed_keys(sql, GUESTS)))[1]) == {(1,), (2,)}
        await database.perform(update, scope("updating"))
        assert [tuple(row) for row in await database.read("select number, name from guests")] == [(2, "bob")]
        async with side.snapshot() as view:
            assert set((await view.run(lambda sql: changed_keys(sql, GUESTS)))[1]) == {(1,), (2,), (3,)}
        await side.close()
