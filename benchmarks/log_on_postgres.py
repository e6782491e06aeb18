"""The contenders of the log on PostgreSQL: each on a server of its own, on the disk that is measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from benchmarks.harness import Sample, Settings, throughput
from benchmarks.log_rows import STREAMS, log, new_rows, order_lines
from insula import System
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, Store
from insula.runtime.databases import provision
from insula.runtime.local.postgres import LocalPostgres

PEER_THREADS = 16
CREATE = (
    "create table log (position bigserial primary key, stream text not null, version integer not null,"
    " type text not null, data bytea not null, unique (stream, version))"
)
INSERT = (
    "insert into log (stream, version, type, data)"
    " select * from unnest($1::text[], $2::integer[], $3::text[], $4::bytea[])"
)


@contextmanager
def own_server(settings: Settings) -> Iterator[LocalPostgres]:
    """A durable server, which runs under another account when we are root."""
    settings.directory.chmod(0o755)
    with LocalPostgres(settings.directory / f"postgres-{uuid4()}") as server:
        yield server


@asynccontextmanager
async def commands(settings: Settings, concurrency: int) -> AsyncIterator[Sample]:
    """Call a command that publishes one event, and wait for its answer."""
    with own_server(settings) as server:
        parts = urlsplit(server.address)
        address = f"postgresql://{{module}}:bench@{parts.hostname}:{parts.port}/{{module}}"
        store = Store(address=address)
        await provision([log.name], store, server.address)
        async with Application(
            System("benchmark", log), Configuration(store=store), directory=settings.directory
        ) as ours:
            append = order_lines(ours.bus)

            async def sample() -> float:
                return await throughput(append, seconds=settings.seconds, concurrency=concurrency)

            yield sample


class GroupCommit:
    """The least group commit: whoever waits when the last batch is durable makes the next batch."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[tuple[str, int, str, bytes], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def append(self, row: tuple[str, int, str, bytes]) -> None:
        """Insert a row; return when it is durable."""
        durable = asyncio.get_running_loop().create_future()
        self._waiting.append((row, durable))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await durable

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await self._connection.fetch(INSERT, *map(list, zip(*(row for row, _ in batch), strict=True)))
            for _, durable in batch:
                durable.set_result(None)
            await asyncio.sleep(0)  # those just answered join the next batch
        self._writing = None


@asynccontextmanager
async def raw_group_commit(settings: Settings, concurrency: int) -> AsyncIterator[Sample]:
    """One statement for all who wait, over one connection."""
    row = new_rows()
    with own_server(settings) as server:
        connection = await asyncpg.connect(server.address)
        await connection.execute(CREATE)
        group = GroupCommit(connection)

        async def append() -> None:
            await group.append(row())

        async def sample() -> float:
            return await throughput(append, seconds=settings.seconds, concurrency=concurrency)

        yield sample
        await connection.close()


@asynccontextmanager
async def eventsourcing_threads(settings: Settings) -> AsyncIterator[Sample]:
    """As many threads as help it."""
    from benchmarks.peers.eventsourcing_log import appender, postgres_application

    with own_server(settings) as server, closing(postgres_application(server.address)) as orders:
        append = appender(orders, STREAMS)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(PEER_THREADS) as threads:

            async def append_on_a_thread() -> None:
                await loop.run_in_executor(threads, append)

            async def sample() -> float:
                return await throughput(append_on_a_thread, seconds=settings.seconds, concurrency=PEER_THREADS)

            yield sample
