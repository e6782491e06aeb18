"""Synchronous bodies on their worker threads: how they end, and who waits for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.notes import NOTES, OpenDatabase, add_note, scope, texts


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
            for endless in tuple(database._on_threads):  # or closing would wait for them
                endless.cancel()
