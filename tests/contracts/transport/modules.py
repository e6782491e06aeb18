"""A module that publishes and one that reads, on real databases, with a transport in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from insula.adapters.sqlite.database import SqliteDatabase
from insula.kernel.clock import SystemClock
from insula.messages import Envelope
from insula.messaging.publishing import Publisher
from insula.messaging.subscribing import Subscriber
from insula.messaging.transport import Transport
from insula.store.database import Scope, Unit

CLOCK = SystemClock()


@asynccontextmanager
async def opened(folder: Path, name: str) -> AsyncIterator[SqliteDatabase]:
    """A module's database."""
    database = SqliteDatabase(folder / f"{name}.db", name, CLOCK)
    database.prepare(None, None)
    try:
        yield database
    finally:
        await database.close()


async def append(database: SqliteDatabase, *envelopes: Envelope) -> None:
    """Let messages enter the log, in one commit."""

    async def body(unit: Unit) -> None:
        await unit.append(envelopes)

    await database.perform(body, Scope("test"))


class Receiving:
    """Stands for a module's `Receiver`: takes what it is given, but nothing of the keys in `failing`, and of those in
    `gates` only when that is opened."""

    types = frozenset(("Said",))
    module = "reading"

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.taken: list[tuple[str | None, int]] = []
        self.attempts: list[int] = []
        self.failing: set[str | None] = set()
        self.gates: dict[str | None, asyncio.Event] = {}
        self._changed = asyncio.Event()

    async def deliver(self, envelope: Envelope) -> None:
        self.attempts.append(envelope.position)
        self._changed.set()
        if envelope.subject in self.gates:
            await self.gates[envelope.subject].wait()
        if envelope.subject in self.failing:
            raise OSError("the disk is full")
        self.taken.append((envelope.subject, envelope.position))
        self._changed.set()

    def of_key(self, key: str | None) -> list[int]:
        """What was taken of one key."""
        return [position for subject, position in self.taken if subject == key]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that deliveries bring about."""
        while not holds():
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def publishing(database: SqliteDatabase, transport: Transport) -> AsyncIterator[Publisher]:
    """The source's process: it publishes until the end of the block, and saves its cursor then."""
    publisher = Publisher(database, transport, ["reading"], CLOCK)
    await publisher.start()
    run = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        await ended(run)
        await publisher.stop()


@asynccontextmanager
async def subscribed(receiver: Receiving, transport: Transport, **options: Any) -> AsyncIterator[Subscriber]:
    """The receiver's process: it takes until the end of the block, and stops as an application does."""
    subscriber = Subscriber("source", receiver, transport, CLOCK, **options)  # type: ignore[arg-type]  # a fake
    await subscriber.start()
    run = asyncio.create_task(subscriber.run())
    try:
        yield subscriber
    finally:
        await ended(run)
        await subscriber.land(0.2)
        await subscriber.stop()


async def holds(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells of."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def ended(run: asyncio.Task[None]) -> None:
    """Cancel a task that runs for ever, and wait for it."""
    run.cancel()
    await asyncio.wait([run])
