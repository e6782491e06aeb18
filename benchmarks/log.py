"""Durable appends: one small event in each transaction, on SQLite with WAL and synchronous=FULL, and on PostgreSQL.

Ours is what a user gets: a command called on the bus, whose handler publishes one event; inbox mark, answer and event
are durable when the call returns. The floor inserts the encoded event with the driver alone; with many callers it
shares one fsync among all who wait. The peer saves an aggregate with one new event; its recorder leaves
synchronous at SQLite's default, which is FULL too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from functools import partial
from uuid import uuid4

from benchmarks import log_on_postgres
from benchmarks.group_commit import GroupCommit, durable_connection
from benchmarks.harness import Case, Contender, Sample, Settings, run, throughput, throughput_blocking
from benchmarks.log_rows import STREAMS, log, new_rows, order_lines
from insula import System
from insula.runtime.application import Application

CONCURRENT = 64
CREATE = (
    "create table log (position integer primary key, stream text not null, version integer not null,"
    " type text not null, data blob not null, unique (stream, version))"
)
INSERT = "insert into log (stream, version, type, data) values (?, ?, ?, ?)"


@asynccontextmanager
async def commands(settings: Settings, concurrency: int) -> AsyncIterator[Sample]:
    """Call a command that publishes one event, and wait for its answer."""
    async with Application(System("benchmark", log), directory=settings.directory / f"insula-{concurrency}") as ours:
        append = order_lines(ours.bus)

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
    *(
        Case(
            name=f"postgres, {concurrent} concurrent",
            unit="events/s",
            better="higher",
            ours=Contender("Insula", partial(log_on_postgres.commands, concurrency=concurrent)),
            floor=Contender("asyncpg, group commit", partial(log_on_postgres.raw_group_commit, concurrency=concurrent)),
            peers=(
                Contender(
                    "eventsourcing, 16 threads",
                    log_on_postgres.eventsourcing_threads,
                    packages=("eventsourcing", "psycopg"),
                ),
            ),
            target="≥ 0.3 × floor",
        )
        for concurrent in (16, 256)
    ),
)

if __name__ == "__main__":
    run((__doc__ or "").partition("\n\n")[0], CASES)
