"""SQL that no verb of the unit runs, a `def` handler's session or what an entity loads by itself, is guarded alike."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from insula.adapters.sqlite.database import SqliteDatabase
from insula.adapters.sqlite.errors import TransactionLost
from insula.kernel.clock import SystemClock
from insula.kernel.errors import StorageFull
from insula.store.database import Mark
from insula.store.errors import UnitOver
from support.notes import NOTES, OpenDatabase, add_note, scope, texts, together, until

ENDS_THE_TRANSACTION = "insert or rollback into notes (id, text) values (1, 'again')"


async def in_one_batch(database: Any, guilty: Any) -> Any:
    """What a `def` body ends with that writes in the batch of a neighbour which has finished before it."""
    go_on = threading.Event()

    def holding(work: Any) -> None:
        work.execute("select 1")
        go_on.wait(5)

    holder = asyncio.ensure_future(database.perform_in_thread(holding, scope("notes.holder")))
    await until(lambda: bool(database._writer._held))
    units = [
        asyncio.ensure_future(add_note(database, "neighbour")),
        asyncio.ensure_future(database.perform_in_thread(guilty, scope("notes.guilty"))),
    ]
    await until(lambda: len(database._writer._waiting) == len(units))
    go_on.set()
    await holder
    neighbour, outcome = await together(*units)
    assert neighbour is None
    return outcome


def by_execute(work: Any) -> None:
    work.session.execute(text(ENDS_THE_TRANSACTION))


def by_many_rows_at_once(work: Any) -> None:
    statement = text("insert or rollback into notes (id, text) values (:id, 'again')")
    work.session.execute(statement, [{"id": 7}, {"id": 1}])


def by_the_connection_hidden(work: Any) -> None:
    try:
        work.session.connection().exec_driver_sql(ENDS_THE_TRANSACTION)
    except Exception:
        work.session.execute(NOTES.insert(), {"text": "after all"})


@pytest.mark.parametrize("guilty", [by_execute, by_many_rows_at_once, by_the_connection_hidden])
async def test_a_session_that_ends_the_shared_transaction_fails_alone(open_database: OpenDatabase, guilty: Any) -> None:
    async with asyncio.timeout(10), open_database() as database:
        await add_note(database, "first")
        assert isinstance(await in_one_batch(database, guilty), (TransactionLost, UnitOver))
        assert await texts(database) == ["first", "neighbour"]


async def test_a_unit_whose_mark_ended_the_transaction_keeps_nothing_though_it_goes_on(
    open_database: OpenDatabase,
) -> None:
    async with asyncio.timeout(10), open_database() as database:
        pages = database._writer.statement("pragma page_count -- test").fetchone()[0]
        database._writer.statement(f"pragma max_page_count={pages + 20} -- test")
        marked = dataclasses.replace(scope(), mark=Mark("notes.test", "id", fingerprint="x" * 4096 * 100))

        async def going_on(work: Any) -> None:
            try:
                await work.execute(NOTES.insert(), {"text": "one"})
            except Exception:
                await work.execute(NOTES.insert(), {"text": "two"})

        neighbour, outcome = await together(add_note(database, "neighbour"), database.perform(going_on, marked))
        assert neighbour is None
        assert isinstance(outcome, (TransactionLost, StorageFull))
        assert await texts(database) == ["neighbour"]


class Base(DeclarativeBase):
    """The tables of a parent whose children load by themselves."""


class Parent(Base):
    """Loaded."""

    __tablename__ = "parent"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    children: Mapped[list[Child]] = relationship()


class Child(Base):
    """Its code is there once, or the transaction ends."""

    __tablename__ = "child"
    __table_args__ = (UniqueConstraint("code", sqlite_on_conflict="rollback"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))
    code: Mapped[str]


@asynccontextmanager
async def family(path: Path) -> AsyncIterator[SqliteDatabase]:
    """A database with a parent and its child."""
    database = SqliteDatabase(path / "family.db", "family", SystemClock())
    database.prepare(Base.metadata, None)

    async def first(work: Any) -> None:
        work.session.add(Parent(id=1, name="first", children=[Child(code="same")]))

    async with asyncio.timeout(10):
        await database.perform(first, scope("first"))
        try:
            yield database
        finally:
            await database.close()


async def names(database: SqliteDatabase) -> list[str]:
    """The parents' names."""
    return [row[0] for row in await database.read("select name from parent order by id")]


async def test_what_an_entity_loads_by_itself_fails_alone_when_it_ends_the_transaction(tmp_path: Path) -> None:
    async def neighbour(work: Any) -> None:
        await work.execute("insert into parent values (2, 'neighbour')")

    async def guilty(work: Any) -> None:
        parent = await work.session.get(Parent, 1)
        work.session.add(Child(parent_id=1, code="same"))
        parent.children  # noqa: B018 - reading it flushes first

    async with family(tmp_path) as database:
        done, outcome = await together(
            database.perform(neighbour, scope("neighbour")), database.perform(guilty, scope("guilty"))
        )
        assert done is None
        assert isinstance(outcome, TransactionLost)
        assert await names(database) == ["first", "neighbour"]
