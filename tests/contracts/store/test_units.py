"""A unit of work: one transaction, whose statements, entities and failures are its handler's alone."""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from insula.store.errors import (
    ForeignAwait,
    ReadOnly,
    StatementDenied,
    StatementForgotten,
    TableMissing,
    UnitOver,
    ValueOutOfRange,
)
from support.notes import NOTES, NoteTaken, OpenDatabase, TooLong, add_note, scope, texts, together


async def test_what_a_unit_wrote_is_there_when_it_has_ended_and_for_the_next_process(
    open_database: OpenDatabase,
) -> None:
    async with open_database() as database:
        await add_note(database, "kept")
        assert await texts(database) == ["kept"]
    async with open_database() as database:
        assert await texts(database) == ["kept"]


async def test_a_failure_leaves_nothing_of_the_unit(open_database: OpenDatabase) -> None:
    async def failing(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "undone"})
        work.publish(NoteTaken(text="undone"))
        raise ValueError("a bug")

    async with open_database() as database:
        with pytest.raises(ValueError, match="a bug"):
            await database.perform(failing, scope())
        assert (await texts(database), await database.log_head()) == ([], 0)


async def test_a_rejection_without_a_mark_undoes_the_effects_too(open_database: OpenDatabase) -> None:
    async def refusing(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "undone"})
        raise TooLong

    async with open_database() as database:
        with pytest.raises(TooLong):
            await database.perform(refusing, scope())
        await add_note(database, "next")
        assert await texts(database) == ["next"]


async def test_a_unit_that_does_nothing_returns_its_value(open_database: OpenDatabase) -> None:
    async def idle(work: Any) -> int:
        return 7

    async with open_database() as database:
        assert await database.perform(idle, scope()) == 7
        assert await database.log_head() == 0


async def test_orders_of_units_awaited_one_after_the_other_is_that_of_their_rows(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        for number in range(20):
            await add_note(database, str(number))
        assert await texts(database) == [str(number) for number in range(20)]


async def test_a_statement_that_fails_can_be_caught_and_the_unit_goes_on(open_database: OpenDatabase) -> None:
    async def careful(work: Any) -> None:
        await work.execute(NOTES.insert(), {"id": 100, "text": "before"})
        try:
            await work.execute(NOTES.insert(), {"id": 1, "text": "again"})
        except IntegrityError:
            await work.execute(NOTES.insert(), {"id": 101, "text": "instead"})

    async with open_database() as database:
        await add_note(database, "first")
        await database.perform(careful, scope())
        await add_note(database, "last", id=102)
        assert await texts(database) == ["first", "before", "instead", "last"]


async def test_a_statement_that_fails_last_and_is_caught_keeps_what_was_before_it(open_database: OpenDatabase) -> None:
    async def careful(work: Any) -> None:
        await work.execute(NOTES.insert(), {"id": 100, "text": "before"})
        try:
            await work.execute(NOTES.insert(), {"id": 1, "text": "again"})
        except IntegrityError:
            return

    async with open_database() as database:
        await add_note(database, "first")
        for _ in range(2):  # the second time it is known to be careful
            await database.perform(careful, scope())
            await database.perform(deleting(100), scope("notes.delete"))
        await database.perform(careful, scope())
        assert await texts(database) == ["first", "before"]


def deleting(number: int) -> Any:
    async def body(work: Any) -> None:
        await work.execute(NOTES.delete().where(NOTES.c.id == number))

    return body


async def test_awaiting_something_foreign_while_writing_fails_that_unit_alone(open_database: OpenDatabase) -> None:
    async def guilty(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "guilty"})
        await asyncio.sleep(0.001)

    async with open_database() as database:
        outcomes = await together(
            *(add_note(database, f"n{number}") for number in range(5)),
            database.perform(guilty, scope("notes.guilty")),
            *(add_note(database, f"n{number}") for number in range(5, 10)),
        )
        refused = outcomes.pop(5)
        assert outcomes == [None] * 10
        assert isinstance(refused, ForeignAwait)
        assert str(refused).count("test_units.py:") == 2
        assert sorted(await texts(database)) == [f"n{number}" for number in range(10)]


async def test_foreign_things_may_be_awaited_before_the_first_statement(open_database: OpenDatabase) -> None:
    async def patient(work: Any) -> None:
        await asyncio.sleep(0.001)
        await work.peek(select(NOTES))
        await asyncio.sleep(0.001)
        await work.execute(NOTES.insert(), {"text": "one"})
        await work.execute(NOTES.insert(), {"text": "two"})

    async with open_database() as database:
        await database.perform(patient, scope())
        assert await texts(database) == ["one", "two"]


async def test_a_foreign_await_that_the_handler_swallows_still_keeps_it_from_waiting(
    open_database: OpenDatabase,
) -> None:
    async def stubborn(work: Any) -> int:
        await work.execute(NOTES.insert(), {"text": "kept"})
        try:
            await asyncio.Event().wait()
        except ForeignAwait:
            return 1
        return 2

    async with open_database() as database:
        async with asyncio.timeout(10):
            assert await database.perform(stubborn, scope()) == 1
        assert await texts(database) == ["kept"]


async def test_two_statements_at_once_are_refused_and_stop_nobody(open_database: OpenDatabase) -> None:
    async def body(work: Any) -> None:
        await asyncio.gather(*(work.execute(NOTES.insert(), {"text": text}) for text in "ab"))

    async with open_database() as database:
        refused, *_ = await together(database.perform(body, scope()), *(add_note(database, f"n{i}") for i in range(5)))
        assert isinstance(refused, ForeignAwait)
        assert "one statement after the other" in str(refused)
        assert sorted(await texts(database)) == [f"n{i}" for i in range(5)]


async def test_a_forgotten_await_fails_the_unit_instead_of_writing_nothing(open_database: OpenDatabase) -> None:
    async def forgetful(work: Any) -> None:
        work.execute(NOTES.insert(), {"text": "forgotten"})

    async with open_database() as database:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # Python's own word for it, in passing
            with pytest.raises(StatementForgotten, match=r"notes\.test: 1 statement"):
                await database.perform(forgetful, scope())


async def test_a_unit_kept_longer_than_its_handler_writes_and_publishes_nothing(open_database: OpenDatabase) -> None:
    kept: list[Any] = []

    async def body(work: Any) -> None:
        kept.append(work)
        await work.execute(NOTES.insert(), {"text": "in time"})

    async with open_database() as database:
        await database.perform(body, scope())
        with pytest.raises(UnitOver, match=r"notes\.test"):
            await kept[0].execute(NOTES.insert(), {"text": "too late"})
        with pytest.raises(UnitOver):
            kept[0].publish(None)
        assert await texts(database) == ["in time"]


@pytest.mark.parametrize("statement", ["commit", "rollback", "savepoint mine", "begin", "-- first\n commit"])
async def test_transaction_control_in_user_sql_is_refused(open_database: OpenDatabase, statement: str) -> None:
    async def guilty(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "guilty"})
        await work.execute(statement)

    async with open_database() as database:
        with pytest.raises(StatementDenied, match=r"notes\.test \(test_units\.py:\d+\): transaction control"):
            await database.perform(guilty, scope())
        await add_note(database, "next")
        assert await texts(database) == ["next"]


@pytest.mark.parametrize(
    "statement", ["delete from insula_log", "update insula_cursor set position = 0", "drop table insula_inbox"]
)
async def test_the_frameworks_own_tables_cannot_be_changed_by_user_sql(
    open_database: OpenDatabase, statement: str
) -> None:
    async def guilty(work: Any) -> None:
        await work.execute(statement)

    async with open_database() as database:
        with pytest.raises(StatementDenied, match=r"insula_\w+ belongs to Insula"):
            await database.perform(guilty, scope())


async def test_a_query_reads_what_was_committed_and_writes_nothing(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await add_note(database, "one")
        unit = database.reading("notes.query")
        assert await unit.scalar(select(func.count()).select_from(NOTES)) == 1
        assert (await unit.execute("select text from notes where text = :text", {"text": "one"})).all() == [("one",)]
        for write in (NOTES.insert(), "delete from notes", "drop table notes"):
            with pytest.raises(ReadOnly, match=r"notes\.query"):
                await unit.execute(write, {"text": "x"} if write is not str and not isinstance(write, str) else None)
        with pytest.raises(ReadOnly):
            unit.publish(NoteTaken(text="x"))
        assert await texts(database) == ["one"]


async def test_a_table_that_nobody_has_is_named_with_the_place(open_database: OpenDatabase) -> None:
    async def poking(work: Any) -> None:
        await work.execute("delete from nowhere")

    async with open_database(owners={"elsewhere": "other"}) as database:
        with pytest.raises(TableMissing, match=r"notes\.test: no such table: nowhere; declare it"):
            await database.perform(poking, scope())
        with pytest.raises(TableMissing, match=r"notes\.query: no such table: elsewhere; it belongs to module other"):
            await database.reading("notes.query").execute("select * from elsewhere")


async def test_a_number_that_no_database_holds_is_the_callers_fault(open_database: OpenDatabase) -> None:
    async def counting(work: Any) -> None:
        await work.execute(NOTES.insert(), {"id": 2**63, "text": "large"})

    async with open_database() as database:
        with pytest.raises(ValueOutOfRange) as refused:
            await database.perform(counting, scope())
        assert refused.value.status == 422
        with pytest.raises(ValueOutOfRange):
            await database.reading("notes.query").execute(select(NOTES).where(NOTES.c.id == 2**63))


async def test_a_cancelled_unit_leaves_nothing_behind_and_stops_nobody(open_database: OpenDatabase) -> None:
    started = asyncio.Event()

    async def waiting(work: Any) -> None:
        await work.peek(select(NOTES))
        started.set()
        await asyncio.Event().wait()

    async with open_database() as database:
        unit = asyncio.ensure_future(database.perform(waiting, scope()))
        await started.wait()
        unit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unit
        await add_note(database, "after")
        assert await texts(database) == ["after"]


async def test_units_cancelled_at_any_moment_are_stored_whole_or_not_at_all(open_database: OpenDatabase) -> None:
    async def two(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "half"})
        await work.execute(NOTES.insert(), {"text": "half"})
        work.publish(NoteTaken(text="whole"))

    async with open_database() as database:
        for steps in range(12):
            unit = asyncio.ensure_future(database.perform(two, scope(f"notes.{steps}")))
            for _ in range(steps):
                await asyncio.sleep(0)
            unit.cancel()
            await asyncio.wait([unit])
        await add_note(database, "after")
        counts = Counter(await texts(database))
        assert counts["half"] == 2 * await database.log_head()
        assert counts["after"] == 1
