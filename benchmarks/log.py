"""Durable appends: one small event in each transaction, on SQLite with WAL and synchronous=FULL.

Ours is what a user gets: a command called on the bus, whose handler publishes one event; inbox mark, answer and event
are durable when the call returns. The floor inserts the encoded event with the driver alone; with many callers it
shares one fsync among all who wait. The peer saves an aggregate with one new event; its recorder leaves
synchronous at SQLite's default, which is FULL too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from uuid import uuid4

import msgspec

from benchmarks.group_commit import GroupCommit, durable_connection
from benchmarks.harness import Case, Contender, Sample, Settings, run, throughput, throughput_blocking
from insula import Command, Event, Module, System, UnitOfWork
from insula.runtime.application import Application

CONCURRENT = 64
STREAMS = 64
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CREATE = (
    "create table log (position integer primary key, stream text not null, version integer not null,"
    " type text not null, data blob not null, unique (stream, version))"
)
INSERT = "insert into log (stream, version, type, data) values (?, ?, ?, ?)"


class LineAddedRecord(msgspec.Struct, frozen=True):
    """The event as the floor stores it."""

    line: str
    sku: str
    amount: Decimal
    at: datetime


def new_rows() -> Callable[[], tuple[str, int, str, bytes]]:
    """Return a function that makes the next row, its event encoded, on one of a few streams by turns."""
    streams = [str(uuid4()) for _ in range(STREAMS)]
    encode = msgspec.json.Encoder().encode
    numbers = count()

    def row() -> tuple[str, int, str, bytes]:
        number = next(numbers)
        event = LineAddedRecord(line=str(uuid4()), sku="sku-1", amount=Decimal("12.50"), at=NOW)
        return streams[number % STREAMS], number // STREAMS, "LineAdded", encode(event)

    return row


log = Module("log")


class LineAdded(Event, key="order"):
    """The event as ours publishes it."""

    order: str
    line: str
    sku: str
    amount: Decimal
    at: datetime


class AddLine(Command[None]):
    """Add a line to an order."""

    order: str
    line: str
    sku: str
    amount: Decimal
    at: datetime


@log.handle(AddLine)
async def add_line(command: AddLine, work: UnitOfWork) -> None:
    work.publish(
        LineAdded(order=command.order, line=command.line, sku=command.sku, amount=command.amount, at=command.at)
    )


@asynccontextmanager
async def commands(settings: Settings, concurrency: int) -> AsyncIterator[Sample]:
    """Call a command that publishes one event, and wait for its answer."""
    streams = [str(uuid4()) for _ in range(STREAMS)]
    numbers = count()
    async with Application(System("benchmark", log), directory=settings.directory / f"insula-{concurrency}") as ours:
        call = ours.bus.call

        async def append() -> None:
            order = streams[next(numbers) % STREAMS]
            await call(AddLine(order=order, line=str(uuid4()), sku="sku-1", amount=Decimal("12.50"), at=NOW))

        async def sample() -> float:
            return await throughput(append, seconds=settings.seconds, concurrency=concurrency)

        yield sample


@asynccontextmanager
async def raw_insert(settings: Settings) -> AsyncIterator[Sample]:
    """One insert and one fsync at a time, on the calling thread."""
    row = new_rows()
    with closing(durable_connection(settings.directory / "raw.db", CREATE)) as connection:

        async def sample() -> float:
            return throughput_blocking(lambda: connection.execute(INSERT, row()), seconds=settings.seconds)

        yield sample


@asynccontextmanager
async def raw_group_commit(settings: Settings) -> AsyncIterator[Sample]:
    """All who wait share one transaction and one fsync, on a thread."""
    row = new_rows()
    file = settings.directory / "raw-group.db"
    with closing(durable_connection(file, CREATE)) as connection, ThreadPoolExecutor(1) as thread:
        group = GroupCommit(connection, INSERT, thread)

        async def append() -> None:
            await group.append(row())

        async def sample() -> float:
            return await throughput(append, seconds=settings.seconds, concurrency=CONCURRENT)

        yield sample


@asynccontextmanager
async def eventsourcing_one_by_one(settings: Settings) -> AsyncIterator[Sample]:
    from benchmarks.peers.eventsourcing_log import appender, application

    with closing(application(settings.directory / f"eventsourcing-{uuid4()}.db")) as orders:
        append = appender(orders, STREAMS)

        async def sample() -> float:
            return throughput_blocking(append, seconds=settings.seconds)

        yield sample


@asynccontextmanager
async def eventsourcing_threads(settings: Settings) -> AsyncIterator[Sample]:
    """As many callers as ours has; SQLite lets one of the threads write at a time."""
    from benchmarks.peers.eventsourcing_log import appender, application

    file = settings.directory / f"eventsourcing-{uuid4()}.db"
    with closing(application(file)) as orders, ThreadPoolExecutor(CONCURRENT) as threads:
        append = appender(orders, STREAMS)
        loop = asyncio.get_running_loop()

        async def append_on_a_thread() -> None:
            await loop.run_in_executor(threads, append)

        async def sample() -> float:
            return await throughput(append_on_a_thread, seconds=settings.seconds, concurrency=CONCURRENT)

        yield sample


PEERS = (Contender("eventsourcing", eventsourcing_one_by_one, packages=("eventsourcing",)),)
CASES = (
    Case(
        name="sqlite, one writer",
        unit="events/s",
        better="higher",
        ours=Contender("Insula", lambda settings: commands(settings, 1)),
        floor=Contender("sqlite3, an insert each", raw_insert),
        peers=PEERS,
        target="≥ 0.8 × floor",
    ),
    Case(
        name="sqlite, 64 concurrent",
        unit="events/s",
        better="higher",
        ours=Contender("Insula", lambda settings: commands(settings, CONCURRENT)),
        floor=Contender("sqlite3, group commit", raw_group_commit),
        peers=(
            *PEERS,
            Contender("eventsourcing, 64 threads", eventsourcing_threads, packages=("eventsourcing",)),
        ),
        target="≥ 0.4 × floor, ≥ 4 × peer",
    ),
)

if __name__ == "__main__":
    run((__doc__ or "").partition("\n\n")[0], CASES)
