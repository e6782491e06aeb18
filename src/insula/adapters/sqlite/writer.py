"""Group commit: one writer, many units of work to a commit, one fsync for all of them.

Statements run inline on the loop, COMMIT on a thread unless the committer knows it to be quick (`commit_thread`).
A unit that holds the writer's turn never suspends (the unit's driver sees to it), so units follow each other without
a lock; they wait only while a commit is under way or a synchronous handler holds the turn on its thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from insula.adapters.sqlite.commit_thread import Committer
from insula.adapters.sqlite.connection import Connection, outside, sqlalchemy_connection
from insula.adapters.sqlite.errors import machine_failure
from insula.kernel.clock import Clock
from insula.kernel.errors import Failure
from insula.store.database import Scope
from insula.store.moving import MOVED_TO
from insula.store.signals import Moved

BEGIN = "begin immediate -- insula"
_MOVED = f"select 1 from insula_meta where name = '{MOVED_TO}' -- insula"
COMMIT = "commit -- insula"
ROLLBACK = "rollback -- insula"

_FIRST_WAIT_SECONDS = 0.005
_LONGEST_WAIT_SECONDS = 0.25


class BatchLost(Exception):
    """The batch's transaction is gone: nothing of it is stored, its units must run again.

    `cause` is the failure when the commit itself failed, and None when another unit ended the transaction. With
    `uncertain` the failed commit may have been stored all the same: what could happen twice must not run again.
    """

    def __init__(self, cause: Failure | None, *, uncertain: bool = False) -> None:
        super().__init__("the shared transaction was lost")
        self.cause = cause
        self.uncertain = uncertain


class Writer:
    """The turn to write, and the batch of units that share the next commit."""

    def __init__(
        self,
        connection: Connection,
        database: str,
        clock: Clock,
        *,
        committer: Committer,
        busy_timeout_seconds: float,
        on_commit: Callable[[set[str]], None],
    ) -> None:
        self.connection = connection
        self.sql = sqlalchemy_connection(connection)  # which asks for a few settings first
        self.connection.within = outside  # until a unit takes the turn
        self.statement = sqlite3.Cursor(connection).execute  # unbuffered: for the framework's own short statements
        self.appended: set[str] = set()
        self._database = database
        self._clock = clock
        self._busy_timeout_seconds = busy_timeout_seconds
        self._on_commit = on_commit
        self._committer = committer
        self._members: list[asyncio.Future[None]] = []
        self._units: list[Scope] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._held = False
        self._alone = False
        self._want_to_be_alone = 0
        self._closing = False
        self._commit_scheduled = False
        self.committing = False
        self.changes = 0
        """Units finished, committed or not."""
        self.visible_changes = 0
        """Units that readers see for certain; compare with `changes` to know whether a peek may be stale."""
        self._changes_committing = 0

    # Not `async`, as in the database: a layer less for every unit.
    def acquire(self, *, alone: bool = False) -> Coroutine[Any, Any, None]:
        """Take the turn, in a fresh batch if `alone`; at once when the writer is free."""
        return self._acquire_alone() if alone else self._acquire(alone=False)

    async def _acquire_alone(self) -> None:
        """Nobody joins the open batch while somebody waits for its end, or busy callers would put it off for ever."""
        self._want_to_be_alone += 1
        try:
            await self._acquire(alone=True)
        finally:
            self._want_to_be_alone -= 1
            if not self._held:  # it gave up: those who made way for it go on
                self._wake()

    async def _acquire(self, *, alone: bool) -> None:
        if self._closing:
            raise Failure(f"{self._database} is closing")
        arrived: float | None = None
        while (
            self._held or self.committing or self._alone
            or (self.connection.in_transaction if alone else self._want_to_be_alone)
        ):  # fmt: skip
            arrived = self._clock.monotonic() if arrived is None else arrived
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
            if self._closing:
                raise Failure(f"{self._database} is closing")
        if not self.connection.in_transaction:
            self._held = True
            try:
                await self._begin(arrived)
            except BaseException:
                self._held = False
                self._wake()
                raise
        self._held = True
        self._alone = alone

    async def _begin(self, arrived: float | None) -> None:
        """Open the batch. Only a foreign program can be in the way; wait for it, but not for ever.

        Units that waited behind one another for it give up together: the time counts from when each of them arrived.
        """
        give_up = (self._clock.monotonic() if arrived is None else arrived) + self._busy_timeout_seconds
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            try:
                self.statement(BEGIN)
                break
            except sqlite3.Error as error:
                failure = machine_failure(error, self._database)
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or self._clock.monotonic() >= give_up:
                    raise failure or Failure(f"{self._database}: {error}") from error
            await self._clock.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
        if self.statement(_MOVED).fetchone() is not None:  # nothing may enter a file that is out of use
            self.statement(ROLLBACK)
            raise Moved

    def release(self, completed: Scope | None) -> asyncio.Future[None] | None:
        """Give the turn back. A completed unit gets the future that ends when its batch is durable, or lost.

        Raises `BatchLost` to a completed unit whose batch is gone already.
        """
        loop = asyncio.get_running_loop()
        self._held = False
        self.connection.within = outside
        durable: asyncio.Future[None] | None = None
        lost = not self.connection.in_transaction
        if lost:
            self.lose_batch()
        elif completed is not None:
            durable = loop.create_future()
            self._members.append(durable)
            self._units.append(completed)
            self.changes += 1
        if not lost and not self._commit_scheduled:
            self._commit_scheduled = True
            loop.call_soon(self._start_commit)
        if self._waiting:
            self._wake()
        if lost and completed is not None:
            raise BatchLost(None)
        return durable

    async def settled(self) -> None:
        """Wait until the batch under way is committed or lost; returns at once when there is none."""
        if self.connection.in_transaction:
            over = asyncio.get_running_loop().create_future()
            self._members.append(over)
            with suppress(BatchLost):
                await over

    def lose_batch(self) -> None:
        """The transaction has ended before its commit began: the units that are finished in it run again."""
        self.appended.clear()
        self._alone = False
        members, self._members, self._units = self._members, [], []
        for member in members:
            _fail(member, BatchLost(None))

    def _start_commit(self) -> None:
        self._commit_scheduled = False
        if self.committing or self._held or not self.connection.in_transaction:
            return  # a unit on a thread holds the turn: its release schedules the commit again
        self.committing = True
        self._changes_committing = self.changes
        self._committer.start(self._commit, self._committed, self._units)

    def _commit(self) -> None:
        self.statement(COMMIT)

    def _committed(self, error: BaseException | None) -> None:
        self.committing = False
        self._alone = False
        members, self._members, self._units = self._members, [], []
        appended, self.appended = self.appended, set()
        if error is None:
            self.visible_changes = self._changes_committing
            for member in members:
                if not member.done():
                    member.set_result(None)
            self._wake()
            if appended:
                self._on_commit(appended)
            return
        uncertain = not self.connection.in_transaction
        failure = machine_failure(error, self._database) or Failure(f"{self._database}: commit failed: {error}")
        try:
            if not uncertain:
                self.statement(ROLLBACK)
        finally:  # whoever is not told would wait for ever
            for member in members:
                _fail(member, BatchLost(failure, uncertain=uncertain))
            self._wake()
        if uncertain and appended:  # it may be there: whoever follows the log looks
            self._on_commit(appended)

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def refuse(self) -> None:
        """Give no further turns."""
        self._closing = True
        self._wake()

    async def close(self) -> None:
        """Finish the batch under way, and refuse further turns."""
        self.refuse()
        while self._held or self.committing or self.connection.in_transaction:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        self._wake()
        self._committer.close()


def _fail(member: asyncio.Future[None], error: BatchLost) -> None:
    if not member.done():
        member.set_exception(error)
