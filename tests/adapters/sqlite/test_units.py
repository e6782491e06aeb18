"""A unit of work belongs to its handler: to its task, its lifetime and its ORM session."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from insula.adapters.sqlite.database import SqliteDatabase
from insula.kernel.clock import SystemClock
from insula.store.errors import FlushFailed, ForeignAwait, UnitOver
from support.notes import NOTES, OpenDatabase, add_note, scope, texts, together


async def test_two_statements_at_once_are_refused_and_stop_nobody(open_database: OpenDatabase) -> None:
    async with open_database() as database:

        async def body(work: Any) -> None:
            await asyncio.gather(*(work.execute(NOTES.insert(), {"text": text}) for text in "ab"))

        refused, *_ = await together(database.perform(body, scope()), *(add_note(database, f"n{i}") for i in range(5)))
        assert isinstance(refused, ForeignAwait)
        assert "one statement after the other" in str(refused)
        assert sorted(await texts(database)) == [f"n{i}" for i in range(5)]


async def test_a_unit_kept_longer_than_its_handler_writes_and_publishes_nothing(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        kept: list[Any] = []

        async def body(work: Any) -> None:
            kept.append(work)
            await work.execute(NOTES.insert(), {"text": "in time"})

        await database.perform(body, scope())
        with pytest.raises(UnitOver, match=r"notes\.test"):
            await kept[0].execute(NOTES.insert(), {"text": "too late"})
        with pytest.raises(UnitOver):
            kept[0].publish(None)
        assert await texts(database) == ["in time"]


async def test_units_that_outrun_each_other_all_get_through(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await add_note(database, "0")

        async def body(work: Any) -> None:
            ((text,),) = await work.peek("select text from notes")
            await work.execute("update notes set text = :text", {"text": str(int(text) + 1)})

        results = await together(*(database.perform(body, scope(f"notes.{i}")) for i in range(100)))
        assert Counter(type(each) for each in results) == {type(None): 100}
        assert await texts(database) == ["100"]


class Base(DeclarativeBase):
    """The tables of the ORM's test."""


class Account(Base):
    """Written first."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)


class Ledger(Base):
    """Written second, and refused the second time."""

    __tablename__ = "ledger"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)


async def test_a_flush_that_failed_and_was_caught_keeps_nothing_of_the_unit(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "orm.db", "orm", SystemClock())
    database.prepare(Base.metadata, None)

    caught: list[str] = []

    def inserting(number: int) -> Any:
        async def body(work: Any) -> None:
            work.session.add_all([Account(id=number), Ledger(id=number, text="same")])
            try:
                await work.session.flush()
            except IntegrityError as error:
                caught.append(str(error))

        return body

    try:
        await database.perform(inserting(1), scope("first"))
        with pytest.raises(FlushFailed):
            await database.perform(inserting(2), scope("second"))
        assert [row[0] for row in await database.read("select id from account")] == [1]
        assert "same" not in caught[0]  # what was to be stored stays out of errors and logs
    finally:
        await database.close()
