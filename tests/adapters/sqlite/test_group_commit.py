"""Many units share a commit, and one unit's trouble stays its own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from insula.kernel.errors import Rejection, StorageFull, Unavailable
from insula.messages import Event
from insula.store.database import Duplicate, Outcome
from insula.store.errors import ForeignAwait, ReadOnly, StatementDenied
from support.notes import NOTES, OpenDatabase, add_note, scope, texts, together


class TooLong(Rejection, status=422):
    """The text does not fit."""


class NoteTaken(Event, key="text"):
    """A note was taken."""

    text: str


NEIGHBOURS = [f"neighbour {number}" for number in range(20)]


async def among_neighbours(database: Any, guilty: Any) -> tuple[Any, list[str]]:
    """Run a guilty unit in the middle of a batch; returns its outcome and what the table holds afterwards."""
    half = len(NEIGHBOURS) // 2
    outcomes = await together(
        *(add_note(database, text) for text in NEIGHBOURS[:half]),
        database.perform(guilty, scope("notes.guilty")),
        *(add_note(database, text) for text in NEIGHBOURS[half:]),
    )
    guilty_outcome = outcomes.pop(half)
    assert outcomes == [None] * len(NEIGHBOURS)
    return guilty_outcome, await texts(database)


async def test_units_that_run_at_once_share_commits(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        commits = 0

        def count(types: frozenset[str]) -> None:
            nonlocal commits
            commits += 1

        database.on_append(count)

        async def publishing(work: Any) -> None:
            work.publish(NoteTaken(text="x"))

        await asyncio.gather(*(database.perform(publishing, scope(f"notes.{number}")) for number in range(50)))
        assert await database.log_head() == 50
        assert commits < 10


async def test_an_answer_waits_until_it_is_durable(open_database: OpenDatabase, tmp_path: Any) -> None:
    async with open_database() as database:
        await add_note(database, "kept")
        with sqlite3.connect(tmp_path / "notes.db") as other:
            assert other.execute("select text from notes").fetchall() == [("kept",)]


async def test_awaiting_something_foreign_while_writing_fails_that_unit_alone(open_database: OpenDatabase) -> None:
    async with open_database() as database:

        async def guilty(work: Any) -> None:
            await work.execute(NOTES.insert(), {"text": "guilty"})
            await asyncio.sleep(0.001)

        outcome, stored = await among_neighbours(database, guilty)
        assert isinstance(outcome, ForeignAwait)
        assert str(outcome).count("test_group_commit.py:") == 2
        assert sorted(stored) == sorted(NEIGHBOURS)


@pytest.mark.parametrize(
    "statement",
    ["commit", "rollback", "savepoint mine", "begin", "attach ':memory:' as other", "pragma foreign_keys=0"],
)
async def test_transaction_control_in_user_sql_is_refused(open_database: OpenDatabase, statement: str) -> None:
    async with open_database() as database:

        async def guilty(work: Any) -> None:
            await work.execute(NOTES.insert(), {"text": "guilty"})
            await work.execute(statement)

        outcome, stored = await among_neighbours(database, guilty)
        assert isinstance(outcome, StatementDenied)
        assert sorted(stored) == sorted(NEIGHBOURS)


async def test_the_frameworks_own_tables_cannot_be_changed_by_user_sql(open_database: OpenDatabase) -> None:
    async with open_database() as database:

        async def guilty(work: Any) -> None:
            await work.execute("delete from insula_log")

        with pytest.raises(StatementDenied, match="insula_log belongs to Insula"):
            await database.perform(guilty, scope())


async def test_or_rollback_that_ends_the_shared_transaction_fails_alone(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await add_note(database, "first")
        runs = 0

        async def guilty(work: Any) -> None:
            nonlocal runs
            runs += 1
            await work.execute("insert or rollback into notes (id, text) values (1, 'again')")

        outcome, stored = await among_neighbours(database, guilty)
        assert isinstance(outcome, Exception)
        assert "UNIQUE constraint failed" in str(outcome)
        assert runs == 2  # in the batch, and again alone
        assert sorted(stored) == sorted(["first", *NEIGHBOURS])


async def test_a_handler_that_hides_the_lost_transaction_still_fails(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await add_note(database, "first")

        async def guilty(work: Any) -> str:
            try:
                await work.execute("insert or rollback into notes (id, text) values (1, 'again')")
            except Exception:
                return "all is well"
            return "unreachable"

        outcome, stored = await among_neighbours(database, guilty)
        assert isinstance(outcome, Exception)
        assert sorted(stored) == sorted(["first", *NEIGHBOURS])


async def test_a_disk_that_fills_fails_the_unit_that_does_not_fit(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        pages = database._writer.statement("pragma page_count -- test").fetchone()[0]
        database._writer.statement(f"pragma max_page_count={pages + 20} -- test")

        async def guilty(work: Any) -> None:
            await work.execute(NOTES.insert(), {"text": "x" * 4096 * 100})

        outcome, stored = await among_neighbours(database, guilty)
        assert isinstance(outcome, StorageFull)
        assert sorted(stored) == sorted(NEIGHBOURS)


async def test_a_statement_that_fails_can_be_caught_and_the_unit_goes_on(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await add_note(database, "first")

        async def careful(work: Any) -> None:
            try:
                await work.execute(NOTES.insert(), {"id": 1, "text": "again"})
            except IntegrityError:
                await work.execute(NOTES.insert(), {"text": "instead"})

        await database.perform(careful, scope())
        assert await texts(database) == ["first", "instead"]


async def test_a_rejection_undoes_the_effects_and_keeps_the_answer(open_database: OpenDatabase) -> None:
    async with open_database() as database:

        async def refusing(work: Any) -> None:
            await work.execute(NOTES.insert(), {"text": "undone"})
            work.publish(NoteTaken(text="undone"))
            raise TooLong

        with pytest.raises(TooLong):
            await database.perform(refusing, scope(mark="one"))
        assert await texts(database) == []
        assert await database.log_head() == 0
        with pytest.raises(Duplicate) as again:
            await database.perform(refusing, scope(mark="one"))
        assert again.value.answer.outcome is Outcome.REJECTED


async def test_a_marked_message_works_once_however_often_it_comes(open_database: OpenDatabase) -> None:
    async with open_database() as database:

        async def counting(work: Any) -> int:
            await work.execute(NOTES.insert(), {"text": "once"})
            return 7

        outcomes = await together(*(database.perform(counting, scope(mark="one")) for _ in range(5)))
        assert outcomes[0] == 7
        assert [type(outcome) for outcome in outcomes[1:]] == [Duplicate] * 4
        assert {outcome.answer.body for outcome in outcomes[1:]} == {b"7"}
        assert await texts(database) == ["once"]


async def test_a_failure_leaves_no_trace_and_no_mark(open_database: OpenDatabase) -> None:
    async with open_database() as database:

        async def failing(work: Any) -> int:
            await work.execute(NOTES.insert(), {"text": "undone"})
            raise ValueError("a bug")

        with pytest.raises(ValueError, match="a bug"):
            await database.perform(failing, scope(mark="one"))

        async def mended(work: Any) -> int:
            return 1

        assert await database.perform(mended, scope(mark="one")) == 1


async def test_a_peek_that_has_changed_runs_the_handler_again(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        gate = asyncio.Event()
        runs = 0

        async def deciding(work: Any) -> int:
            nonlocal runs
            runs += 1
            count = len(await work.peek(select(NOTES.c.id)))
            await gate.wait()
            await work.execute(NOTES.insert(), {"text": f"after {count}"})
            return count

        waiting = asyncio.ensure_future(database.perform(deciding, scope()))
        await add_note(database, "meanwhile")
        gate.set()
        assert await waiting == 1
        assert runs == 2
        assert await texts(database) == ["meanwhile", "after 1"]


async def test_a_peek_that_still_holds_runs_once(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        runs = 0

        async def deciding(work: Any) -> None:
            nonlocal runs
            runs += 1
            await work.peek(select(func.count()).select_from(NOTES))
            await work.execute(NOTES.insert(), {"text": "x"})

        await database.perform(deciding, scope())
        assert runs == 1


async def test_a_long_query_stops_no_writer(open_database: OpenDatabase) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000000) select count(*) from n"
    async with open_database() as database:
        query = asyncio.ensure_future(database.read(endless))
        for number in range(10):
            await add_note(database, str(number))
        assert not query.done()
        assert (await query)[0][0] == 5_000_000


async def test_a_query_that_writes_is_refused(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        with pytest.raises(ReadOnly):
            await database.reading("notes.query").execute(NOTES.insert(), {"text": "x"})


async def test_a_foreign_lock_is_waited_for_and_then_reported(open_database: OpenDatabase, tmp_path: Any) -> None:
    async with open_database(busy_timeout_seconds=0.05) as database:
        with sqlite3.connect(tmp_path / "notes.db", isolation_level=None) as other:
            other.execute("begin immediate")
            with pytest.raises(Unavailable, match="another program holds a lock"):
                await add_note(database, "blocked")
            other.execute("rollback")
        await add_note(database, "free")
        assert await texts(database) == ["free"]


async def test_a_synchronous_body_works_in_the_same_transaction(open_database: OpenDatabase) -> None:
    class Base(DeclarativeBase):
        pass

    class Note(Base):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]

    async with open_database() as database:

        def on_a_thread(work: Any) -> int:
            work.session.add(Note(text="by session"))
            work.execute(NOTES.insert(), {"text": "by core"})
            work.publish(NoteTaken(text="both"))
            return 2

        outcomes = await together(
            add_note(database, "before"), database.perform_in_thread(on_a_thread, scope()), add_note(database, "after")
        )
        assert outcomes == [None, 2, None]
        assert sorted(await texts(database)) == ["after", "before", "by core", "by session"]
        assert await database.log_head() == 1


async def test_orm_core_and_text_share_one_transaction(open_database: OpenDatabase) -> None:
    class Base(DeclarativeBase):
        pass

    class Note(Base):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]

    async with open_database() as database:

        async def all_three(work: Any) -> int:
            work.session.add(Note(text="by session"))
            await work.session.flush()
            await work.execute(NOTES.insert(), {"text": "by core"})
            await work.execute("insert into notes (text) values (:text)", {"text": "by text"})
            found = await work.session.scalars(select(Note).order_by(Note.id))
            return len(found.all())

        assert await database.perform(all_three, scope()) == 3
        assert await texts(database) == ["by session", "by core", "by text"]


async def test_a_cancelled_caller_leaves_a_synchronous_body_to_end_and_undoes_it(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        writing, go_on = threading.Event(), threading.Event()

        def on_a_thread(work: Any) -> None:
            work.execute(NOTES.insert(), {"text": "undone"})
            writing.set()
            go_on.wait(5)
            work.execute(NOTES.insert(), {"text": "undone too"})

        call = asyncio.ensure_future(database.perform_in_thread(on_a_thread, scope()))
        await asyncio.to_thread(writing.wait, 5)
        call.cancel()
        neighbour = asyncio.ensure_future(add_note(database, "after"))
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        await neighbour
        assert await texts(database) == ["after"]


async def test_peeks_at_one_row_by_many_at_once_all_come_through(open_database: OpenDatabase) -> None:
    async with open_database() as database:

        async def bump(work: Any) -> None:
            rows = await work.peek(select(func.count()).select_from(NOTES))
            await work.execute(NOTES.insert(), {"text": str(rows[0][0])})

        outcomes = await together(*(database.perform(bump, scope(f"notes.{number}")) for number in range(15)))
        assert outcomes == [None] * 15
        assert await texts(database) == [str(number) for number in range(15)]
