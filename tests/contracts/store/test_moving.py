"""A database as one end of an extraction: it notes what changes, holds its units, and refuses them once it is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, UniqueConstraint, insert, text, update
from sqlalchemy.exc import DBAPIError

from insula.kernel.errors import ConfigurationError
from insula.store.database import Mark
from insula.store.errors import StatementDenied
from insula.store.framework_tables import FRAMEWORK_TABLES
from insula.store.moved_rows import MovedTable, changed_keys, changes_of
from insula.store.moving import MOVED_TO
from support.notes import NOTES, NoteTaken, OpenDatabase, add_note, opened, scope, texts

_TABLES = MetaData()
SEATS = Table(
    "seats", _TABLES, Column("row", Integer, primary_key=True), Column("place", Integer, primary_key=True),
    Column("guest", String), UniqueConstraint("guest"),
)  # fmt: skip
MOVED = [MovedTable.of(NOTES, ["id"]), MovedTable.of(SEATS, ["row", "place"]), *FRAMEWORK_TABLES]
NAMES = [moved.name for moved in MOVED]


async def captured(database: Any) -> Any:
    """The database, noting what changes in it."""
    side = database.side()
    made = 'create table seats ("row" integer, place integer, guest text unique, primary key ("row", place))'
    await side.execute([made])
    async with side.snapshot() as view:
        statements = await view.run(lambda sql: [each for moved in MOVED for each in side.capture(sql, moved)])
    await side.execute(statements)
    return side


async def keys(side: Any, table: str) -> set[Any]:
    """The keys that were noted of a table."""
    [moved] = [each for each in MOVED if each.name == table]
    async with side.snapshot() as view:
        return set((await view.run(lambda sql: changed_keys(sql, moved)))[1])


async def run(database: Any, *statements: Any, fail: bool = False) -> None:
    """One unit with these statements."""

    async def body(work: Any) -> None:
        for statement in statements:
            await work.execute(statement)
        if fail:
            raise LookupError

    await database.perform(body, scope("moving"))


def seat(row: int, place: int, guest: str) -> Any:
    """An insert of one."""
    return insert(SEATS).values(row=row, place=place, guest=guest)


async def test_every_change_of_a_row_is_noted_by_its_key(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await run(database, insert(NOTES).values(id=1, text="before"))
        side = await captured(database)
        await run(
            database, insert(NOTES).values(id=2, text="new"), update(NOTES).where(NOTES.c.id == 1).values(text="x")
        )
        await run(database, seat(1, 1, "ann"), seat(1, 2, "bob"), text("delete from seats where place = 2"))
        assert await keys(side, "notes") == {(1,), (2,)}
        assert await keys(side, "seats") == {(1, 1), (1, 2)}
        await side.close()


async def test_a_row_that_changes_its_key_is_noted_under_both(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        side = await captured(database)
        await run(database, seat(1, 1, "ann"))
        await run(database, update(SEATS).values(row=7))
        assert await keys(side, "seats") == {(1, 1), (7, 1)}
        await side.close()


async def test_what_is_undone_is_not_noted(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        side = await captured(database)
        with pytest.raises(LookupError):
            await run(database, seat(1, 1, "ann"), fail=True)
        assert await keys(side, "seats") == set()
        await side.close()


async def test_insulas_own_rows_are_noted_too(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        side = await captured(database)

        async def body(unit: Any) -> None:
            unit.publish(NoteTaken(text="x"))
            await unit.save_cursor("log of orders", 7)

        await database.perform(body, scope("marked", mark="one"))
        assert await database.log_head() == 1
        assert await keys(side, "insula_log") == {(1,)}
        assert await keys(side, "insula_cursor") == {("log of orders",)}
        assert [consumer for consumer, _ in await keys(side, "insula_inbox")] == ["notes.test"]
        await side.close()


async def test_users_cannot_write_what_is_noted(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        side = await captured(database)
        with pytest.raises(StatementDenied, match="insula_changed_notes"):
            await run(database, text(f"delete from {changes_of('notes')}"))
        await side.close()


async def test_nothing_is_noted_any_more_once_that_is_stopped(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        side = await captured(database)
        stop = [each for moved in MOVED for each in side.stop_capture(moved)]
        await side.execute(stop)
        await side.execute(stop)  # harmless
        await run(database, seat(1, 1, "ann"))
        async with side.snapshot() as view:
            with pytest.raises(DBAPIError):
                await view.run(lambda sql: changed_keys(sql, MOVED[1]))
        await side.close()


async def test_units_wait_while_they_are_held_and_then_go_on(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        side = database.side()
        async with side.hold(["notes"]) as hold:
            waiting = asyncio.ensure_future(add_note(database, "late"))
            silent = asyncio.ensure_future(_publish(database))
            await asyncio.wait([waiting, silent], timeout=0.2)
            assert not waiting.done()
            assert await hold.run(lambda sql: sql.execute(text("select count(*) from notes")).scalar()) == 0
        await waiting
        await silent
        assert await texts(database) == ["late"]
        await side.close()


def _add_on_thread(work: Any) -> None:
    work.execute(insert(NOTES).values(text="threaded"))


async def _publish(database: Any) -> None:
    async def body(unit: Any) -> None:
        unit.publish(NoteTaken(text="x"))

    await database.perform(body, scope("publishing"))


async def test_a_database_that_was_left_refuses_every_unit_and_another_performs_it(
    open_database: OpenDatabase, tmp_path: Any
) -> None:
    async with open_database() as database, opened(tmp_path / "successor.db") as successor:
        side = database.side()
        async with side.hold(NAMES[:1]) as hold:
            waiting = [asyncio.ensure_future(add_note(database, "held")), asyncio.ensure_future(_publish(database))]
            await asyncio.wait(waiting, timeout=0.1)
            framework = [moved.name for moved in FRAMEWORK_TABLES]
            await hold.commit(side.refuse(["notes", *framework], "its new place"))
            database.succeed(successor)
        await asyncio.gather(*waiting)
        await add_note(database, "after")
        await database.perform_in_thread(_add_on_thread, scope("on a thread"))
        assert await texts(database) == []
        assert sorted(await texts(successor)) == ["after", "held", "threaded"]
        assert await successor.log_head() == 1
        await side.write(lambda sql: [sql.exec_driver_sql(each) for each in side.accept(["notes", *framework])])
        await add_note(database, "back")
        assert await texts(database) == ["back"]
        await side.close()


async def test_a_mark_that_was_left_behind_is_found_in_the_new_place(
    open_database: OpenDatabase, tmp_path: Any
) -> None:
    async with open_database() as database, opened(tmp_path / "successor.db") as successor:
        side = database.side()
        framework = [moved.name for moved in FRAMEWORK_TABLES]
        await side.execute(side.refuse(["notes", *framework], "its new place"))
        database.succeed(successor)

        async def body(unit: Any) -> None:
            await unit.execute(insert(NOTES).values(text="once"))

        await database.perform(body, scope("marked", mark="one"))
        assert await database.answer_of(_mark()) is None
        assert await successor.answer_of(_mark()) is not None
        await side.close()


def _mark() -> Mark:
    mark = scope("marked", mark="one").mark
    assert mark is not None
    return mark


async def test_numbers_go_on_after_those_that_came_along(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        side = database.side()

        def work(sql: Any) -> None:
            side.quiet(sql)
            sql.execute(insert(NOTES).values(id=41, text="came along"))
            side.number_on(sql, {"notes": 0})

        await side.write(work)
        await add_note(database, "next")
        assert [row.id for row in await database.read(NOTES.select().order_by(NOTES.c.id))] == [41, 42]
        await side.close()


async def test_a_name_that_is_too_long_for_a_table_of_notes_is_cut_and_stays_its_own() -> None:
    long = [changes_of(f"{'a' * 60}{number}") for number in range(10)]
    assert len(set(long)) == 10
    assert max(map(len, long)) <= 63
    assert MOVED_TO == "moved_to"


def test_a_table_without_a_key_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="table placed has no primary key"):
        MovedTable.of(Table("placed", MetaData(), Column("customer", String)), [])
