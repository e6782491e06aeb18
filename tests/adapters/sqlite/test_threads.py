"""Synchronous bodies on their worker threads: how they end, and who waits for them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from support.notes import NOTES, OpenDatabase, add_note, scope, texts


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
            async with asyncio.timeout(0.05):
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
        try:
            async with asyncio.timeout(5):
                with pytest.raises(RuntimeError, match="a default"):
                    await database.perform_in_thread(first_note, scope())
                with pytest.raises(RuntimeError, match="a default"):
                    await database.read_in_thread(first_note, "notes.query")
                await add_note(database, "after")
                assert await texts(database) == ["after"]
        finally:
            for endless in tuple(database._threads._running):  # or closing would wait for them
                endless.cancel()


async def test_a_body_that_ends_the_transaction_does_not_run_again_for_a_caller_who_has_left(
    open_database: OpenDatabase,
) -> None:
    runs, writing, go_on = 0, threading.Event(), threading.Event()

    def guilty(work: Any) -> None:
        nonlocal runs
        runs += 1
        work.execute(NOTES.insert(), {"text": "undone"})
        writing.set()
        go_on.wait(5)
        if runs == 1:
            work.execute("insert or rollback into notes (id, text) values (1, 'again')")

    async with open_database() as database:
        await add_note(database, "first")
        call = asyncio.ensure_future(database.perform_in_thread(guilty, scope()))
        await asyncio.to_thread(writing.wait, 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        go_on.set()
    assert runs == 1
    async with open_database() as database:
        assert await texts(database) == ["first"]
