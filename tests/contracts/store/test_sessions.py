"""ORM sessions: in the unit's transaction, unable to end it, and guarded like every other statement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import ForeignKey, MetaData, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.orm.exc import DetachedInstanceError

from insula.kernel.errors import Rejection
from insula.store.errors import FlushFailed, StatementDenied, UnitOver
from support.notes import NOTES, NoteTaken, OpenDatabase, scope, texts, together


class Base(DeclarativeBase):
    """The tables of a parent whose children load by themselves."""

    metadata = MetaData()


class Parent(Base):
    """Loaded."""

    __tablename__ = "parent"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    children: Mapped[list[Child]] = relationship()


class Child(Base):
    """Its code is there once."""

    __tablename__ = "child"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))
    code: Mapped[str] = mapped_column(unique=True)


class Noted(Base):
    """A note as an entity."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class TooLate(Rejection, status=422):
    """No."""


@asynccontextmanager
async def family(open_database: OpenDatabase) -> AsyncIterator[Any]:
    """A database with a parent and its child."""

    async def first(work: Any) -> None:
        await work.execute("create table parent (id integer primary key, name text not null)")
        await work.execute(
            "create table child (id integer primary key, parent_id integer not null references parent, "
            "code text not null unique)"
        )
        work.session.add(Parent(id=1, name="first", children=[Child(id=1, code="same")]))

    async with asyncio.timeout(20), open_database() as database:
        await database.perform(first, scope("first"))
        yield database


async def names(database: Any) -> list[str]:
    """The parents' names."""
    return [row[0] for row in await database.read("select name from parent order by id")]


async def test_orm_core_and_text_share_one_transaction(open_database: OpenDatabase) -> None:
    async def all_three(work: Any) -> int:
        work.session.add(Noted(text="by session"))
        await work.session.flush()
        await work.execute(NOTES.insert(), {"text": "by core"})
        await work.execute("insert into notes (text) values (:text)", {"text": "by text"})
        found = await work.session.scalars(select(Noted).order_by(Noted.id))
        return len(found.all())

    async with open_database() as database:
        assert await database.perform(all_three, scope()) == 3
        assert await texts(database) == ["by session", "by core", "by text"]


async def test_a_synchronous_body_has_sqlalchemys_own_session(open_database: OpenDatabase) -> None:
    def on_a_thread(work: Any) -> int:
        work.session.add(Noted(text="by session"))
        work.execute(NOTES.insert(), {"text": "by core"})
        work.publish(NoteTaken(text="both"))
        return 2

    async with open_database() as database:
        assert await database.perform_in_thread(on_a_thread, scope()) == 2
        assert sorted(await texts(database)) == ["by core", "by session"]
        assert await database.log_head() == 1


async def test_what_is_only_added_is_written_at_the_end(open_database: OpenDatabase) -> None:
    async def adding(work: Any) -> None:
        work.session.add(Noted(text="added"))

    async with open_database() as database:
        await database.perform(adding, scope())
        assert await texts(database) == ["added"]


async def test_the_sessions_verbs_work_on_entities(open_database: OpenDatabase) -> None:
    async def changing(work: Any) -> str:
        parent = await work.session.get(Parent, 1)
        parent.name = "changed"
        await work.session.flush()
        merged = await work.session.merge(Parent(id=2, name="second"))
        await work.session.refresh(parent)
        await work.session.delete(await work.session.get(Child, 1))
        assert await work.session.scalar(select(Parent.name).where(Parent.id == merged.id)) == "second"
        return str(parent.name)

    async with family(open_database) as database:
        await database.perform(changing, _answering_nothing("change"))
        assert await names(database) == ["changed", "second"]
        assert await database.read("select * from child") == []


def _answering_nothing(name: str) -> Any:
    found = scope(name)
    found.answer = None
    return found


async def test_what_an_entity_loads_by_itself_is_loaded_in_its_transaction(open_database: OpenDatabase) -> None:
    async def loading(work: Any) -> int:
        parent = await work.session.get(Parent, 1)
        work.session.add(Child(id=2, parent_id=1, code="other"))
        return len(parent.children)  # reading it flushes first

    async with family(open_database) as database:
        assert await database.perform(loading, scope("load")) == 2


async def test_a_flush_that_failed_and_was_caught_keeps_nothing_of_the_unit(open_database: OpenDatabase) -> None:
    caught: list[str] = []

    async def inserting(work: Any) -> None:
        work.session.add_all([Parent(id=2, name="second"), Child(id=2, parent_id=1, code="same")])
        try:
            await work.session.flush()
        except IntegrityError as error:
            caught.append(str(error))

    async with family(open_database) as database:
        with pytest.raises(FlushFailed):
            await database.perform(inserting, scope("second"))
        assert await names(database) == ["first"]
        assert "'same'" not in caught[0].split("[SQL")[-1]  # what was to be stored stays out of errors and logs


@pytest.mark.parametrize("statement", ["commit", "rollback", "savepoint mine", "delete from insula_migration"])
async def test_a_session_can_neither_end_the_transaction_nor_touch_insulas_tables(
    open_database: OpenDatabase, statement: str
) -> None:
    def guilty(work: Any) -> None:
        work.session.execute(NOTES.insert(), {"text": "undone"})
        work.session.execute(text(statement))

    async with asyncio.timeout(10), open_database() as database:
        with pytest.raises(StatementDenied):
            await database.perform_in_thread(guilty, scope())
        assert await texts(database) == []


async def test_a_session_kept_longer_than_its_handler_runs_no_statement(open_database: OpenDatabase) -> None:
    kept: list[Any] = []

    def keeping(work: Any) -> None:
        kept.extend((work.session, work.session.connection()))

    async with asyncio.timeout(10), open_database() as database:
        await database.perform_in_thread(keeping, scope())
        for session in kept:
            with pytest.raises(UnitOver):
                session.execute(NOTES.insert(), {"text": "too late"})
        assert await texts(database) == []


@pytest.mark.parametrize("ending", [None, TooLate, ValueError], ids=["done", "rejected", "failed"])
@pytest.mark.parametrize("on_thread", [False, True], ids=["async", "def"])
async def test_an_entity_kept_longer_than_its_unit_is_readable_but_neither_loads_nor_writes(
    open_database: OpenDatabase, on_thread: bool, ending: type[Exception] | None
) -> None:
    kept: list[Parent] = []

    def end() -> None:
        if ending is not None:
            raise ending

    async def loading(work: Any) -> None:
        kept.append(await work.session.get(Parent, 1))
        end()

    def loading_on_a_thread(work: Any) -> None:
        kept.append(work.session.get(Parent, 1))
        end()

    async def adopting(work: Any) -> None:
        work.session.add(kept[0])

    async with family(open_database) as database:
        if on_thread:
            await together(database.perform_in_thread(loading_on_a_thread, scope("thread")))
        else:
            await together(database.perform(loading, scope("async")))
        assert kept[0].name == "first"
        kept[0].name = "changed"
        with pytest.raises(DetachedInstanceError):
            kept[0].children  # noqa: B018 - reading it loads
        assert await names(database) == ["first"]
        await database.perform(adopting, scope("another"))
        assert await names(database) == ["changed"]


async def test_an_entity_that_would_load_before_the_units_first_statement_says_what_to_do(
    open_database: OpenDatabase,
) -> None:
    kept: list[Any] = []

    async def load(work: Any) -> None:
        kept.append(await work.session.get(Parent, 1))

    async def lazy(work: Any) -> None:
        work.session.add(kept[0])
        kept[0].children  # noqa: B018 - reading it loads

    async with family(open_database) as database:
        await database.perform(load, scope("load"))
        with pytest.raises(RuntimeError, match=r"await work\.session\.refresh"):
            await database.perform(lazy, scope("lazy"))
