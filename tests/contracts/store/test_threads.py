"""`def` handlers on their worker threads: the same transaction, and how they end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import func, select

from insula.store.database import Duplicate
from insula.store.errors import ReadOnly
from support.notes import NOTES, NoteTaken, OpenDatabase, add_note, scope, texts, together


async def test_a_synchronous_body_writes_and_publishes_in_one_transaction(open_database: OpenDatabase) -> None:
    def on_a_thread(work: Any) -> int:
        work.execute(NOTES.insert(), {"text": "by core"})
        work.execute("insert into notes (text) values (:text)", {"text": "by text"})
        work.publish(NoteTaken(text="both"))
        return int(work.scalar(select(func.count()).select_from(NOTES)))

    async with open_database() as database:
        assert await database.perform_in_thread(on_a_thread, scope()) == 2
        assert sorted(await texts(database)) == ["by core", "by text"]
        assert await database.log_head() == 1


async def test_threads_and_the_loop_write_side_by_side(open_database: OpenDatabase) -> None:
    def on_a_thread(work: Any) -> None:
        work.execute(NOTES.insert(), {"text": "thread"})
        work.execute(NOTES.insert(), {"text": "thread"})

    async with open_database() as database:
        units = [database.perform_in_thread(on_a_thread, scope(f"notes.{number}")) for number in range(10)]
        outcomes = await together(*units, *(add_note(database, "loop") for _ in range(10)))
        assert outcomes == [None] * 20
        assert sorted(await texts(database)) == ["loop"] * 10 + ["thread"] * 20


async def test_a_synchronous_body_that_fails_is_undone(open_database: OpenDatabase) -> None:
    def failing(work: Any) -> None:
        work.execute(NOTES.insert(), {"text": "undone"})
        raise ValueError("a bug")

    async with open_database() as database:
        with pytest.raises(ValueError, match="a bug"):
            await database.perform_in_thread(failing, scope())
        await add_note(database, "next")
        assert await texts(database) == ["next"]


async def test_a_marked_synchronous_body_works_once(open_database: OpenDatabase) -> None:
    def once(work: Any) -> int:
        work.execute(NOTES.insert(), {"text": "once"})
        return 7

    async with open_database() as database:
        outcomes = await together(*(database.perform_in_thread(once, scope(mark="one")) for _ in range(3)))
        assert sorted(str(type(each)) for each in outcomes) == sorted(map(str, (int, Duplicate, Duplicate)))
        assert await texts(database) == ["once"]


async def test_the_synchronous_handler_of_a_query_reads_and_cannot_write(open_database: OpenDatabase) -> None:
    def counting(work: Any) -> int:
        return int(work.scalar(select(func.count()).select_from(NOTES)))

    def writing(work: Any) -> None:
        work.execute(NOTES.insert(), {"text": "x"})

    async with open_database() as database:
        await add_note(database, "one")
        assert await database.read_in_thread(counting, "notes.query") == 1
        with pytest.raises(ReadOnly, match=r"notes\.query"):
            await database.read_in_thread(writing, "notes.query")


@pytest.mark.parametrize("writes", [True, False], ids=["a unit", "a query"])
async def test_the_callers_timeout_does_not_wait_for_a_thread_but_closing_does(
    open_database: OpenDatabase, writes: bool
) -> None:
    go_on, ended = threading.Event(), threading.Event()

    def slow(work: Any) -> None:
        work.execute("insert into notes (text) values ('undone')" if writes else "select 1")
        go_on.wait(5)
        ended.set()

    async with open_database() as database:
        calls = database.perform_in_thread(slow, scope()) if writes else database.read_in_thread(slow, "notes.query")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await calls
        assert not ended.is_set()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert ended.is_set()
    async with open_database() as database:
        assert await texts(database) == []


async def test_a_synchronous_body_that_raises_stop_iteration_fails_and_stops_nobody(
    open_database: OpenDatabase,
) -> None:
    def first_note(work: Any) -> Any:
        return next(iter(work.execute(NOTES.select()).all()))

    async with open_database() as database:
        async with asyncio.timeout(5):
            with pytest.raises(RuntimeError, match="a default"):
                await database.perform_in_thread(first_note, scope())
            with pytest.raises(RuntimeError, match="a default"):
                await database.read_in_thread(first_note, "notes.query")
            await add_note(database, "after")
            assert await texts(database) == ["after"]


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
