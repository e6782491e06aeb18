"""A module's database on a real file, and units of work over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table

from insula.adapters.sqlite.database import SqliteDatabase
from insula.kernel.clock import SystemClock
from insula.kernel.context import MessageContext
from insula.kernel.errors import Rejection
from insula.kernel.ids import INSULA_NAMESPACE, derive
from insula.messages import Event
from insula.messaging.outgoing import OutgoingMessages
from insula.store.database import Mark, Scope

TABLES = MetaData()
NOTES = Table("notes", TABLES, Column("id", Integer, primary_key=True), Column("text", String, nullable=False))

OpenDatabase = Callable[..., Any]


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SqliteDatabase]:
    """The database at `path`, closed at the end."""
    database = SqliteDatabase(path, "notes", SystemClock(), **options)
    database.prepare(TABLES, None)
    try:
        yield database
    finally:
        await database.close()


def scope(name: str = "notes.test", mark: str | None = None) -> Scope:
    """What surrounds one unit in these tests."""
    message_id = derive(INSULA_NAMESPACE, mark or name)
    departure = OutgoingMessages("notes", name, MessageContext(message_id, message_id), SystemClock())
    marked = None if mark is None else Mark("notes.test", message_id)
    return Scope(name, departure, marked, answer=lambda value: b"%d" % (value or 0), reject=lambda no: str(no).encode())


class TooLong(Rejection, status=422):
    """The text does not fit."""


class NoteTaken(Event, key="text"):
    """A note was taken."""

    text: str


async def add_note(database: Any, text: str, **columns: Any) -> Any:
    """One neighbour in the batch: inserts a note."""

    async def body(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": text, **columns})

    return await database.perform(body, scope(f"notes.{text}"))


async def texts(database: Any) -> list[str]:
    """What the table holds, in the order of insertion."""
    return [row.text for row in await database.read(NOTES.select().order_by(NOTES.c.id))]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something inside the database is so, five seconds at most."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the writer's state has no event
            await asyncio.sleep(0.001)


async def together(*units: Awaitable[Any]) -> list[Any]:
    """Run units at once, so that they share a batch; errors are returned."""
    return await asyncio.gather(*units, return_exceptions=True)
