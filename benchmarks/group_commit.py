"""The floor of many durable writes at once: the driver alone, and one fsync for all who wait."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

Parameters = tuple[Any, ...]


def durable_connection(file: Path, create: str) -> sqlite3.Connection:
    """Open a new database in WAL mode with synchronous=FULL, and create its table."""
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute(create)
    return connection


class GroupCommit:
    """The least group commit: whoever waits when the last batch is durable makes the next batch."""

    def __init__(self, connection: sqlite3.Connection, insert: str, thread: Executor) -> None:
        self._connection = connection
        self._insert = insert
        self._thread = thread
        self._waiting: list[tuple[Parameters, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def append(self, row: Parameters) -> None:
        """Insert a row; return when it is durable."""
        durable = asyncio.get_running_loop().create_future()
        self._waiting.append((row, durable))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await durable

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await loop.run_in_executor(self._thread, self._commit, [row for row, _ in batch])
            for _, durable in batch:
                durable.set_result(None)
            await asyncio.sleep(0)  # those just answered join the next batch
        self._writing = None

    def _commit(self, rows: list[Parameters]) -> None:
        self._connection.execute("begin immediate")
        self._connection.executemany(self._insert, rows)
        self._connection.execute("commit")
