"""Synchronous bodies on their worker threads: how they end, and who waits for them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from support.notes import NOTES, OpenDatabase, add_note, scope, texts


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
