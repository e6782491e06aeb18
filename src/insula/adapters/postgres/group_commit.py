"""Group commit: what is the framework's alone is stored by one writer, a batch a transaction, and the log is numbered.

A unit whose handler ran no SQL needs no transaction of its own: its events, mark, cursor or timers are handed over
here, and its caller waits for the batch. Units with SQL commit by themselves and leave their messages unnumbered; the
same statement that appends a batch numbers those first. It runs under a lock that its transaction holds, so any
process of a module may number, none has to be elected, and a position once read never changes. Whoever commits later
gets a later position, and an open transaction keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from insula.adapters.postgres.errors import failure_of, is_lost, is_moved
from insula.adapters.postgres.link import Link
from insula.adapters.postgres.pool import Pool
from insula.adapters.postgres.tables import (
    ANSWERED,
    APPEND,
    FENCE,
    MARKS,
    Operation,
    answer_of,
    mark_columns,
    rows_of,
)  # fmt: skip
from insula.kernel.clock import Clock
from insula.kernel.errors import Failure
from insula.messages import Envelope
from insula.store.database import Answer, Duplicate, Mark, Outcome
from insula.store.log import TIMER_SAVED
from insula.store.signals import Moved

UNITS_AT_ONCE = 512

_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 1.0
_NUMBERED_BEFORE_VACUUM = 20_000


class CommitFailed(Exception):
    """What was handed over is not stored, for `cause`; with `uncertain` it may be stored all the same."""

    def __init__(self, cause: Failure, *, uncertain: bool) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.uncertain = uncertain


@dataclass(slots=True)
class Write:
    """What one unit hands over. Parameters: `mark` and `answer` go together; `envelopes` enter the log."""

    mark: Mark | None = None
    answer: Answer | None = None
    envelopes: Sequence[Envelope] = ()
    operations: Sequence[Operation] = ()
    saves_timers: bool = False
    durable: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GroupCommit:
    """The writer of one process. Parameters: `pool`, of links for it alone; `on_commit`, called with the types that
    the log has grown by and its new end.
    """

    def __init__(
        self, pool: Pool, database: str, clock: Clock, on_commit: Callable[[set[str], int | None], None]
    ) -> None:
        self._pool = pool
        self._database = database
        self._clock = clock
        self._on_commit = on_commit
        self._waiting: list[Write] = []
        self._unnumbered = False
        self._being_numbered = False
        self._numbering: asyncio.Future[None] | None = None
        self._numbered = 0
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def submit(self, write: Write) -> asyncio.Future[None]:
        """Store `write` with the next batch. The future raises `Duplicate`, `CommitFailed` or what its own part did."""
        if self._closing:
            raise Failure(f"{self._database} is closing")
        self._waiting.append(write)
        self._wake()
        return write.durable

    def number(self) -> None:
        """Something was committed unnumbered, perhaps."""
        self._unnumbered = True
        self._wake()

    async def numbered(self) -> None:
        """Wait until what this process knows to be committed has its position. Raises `Unavailable` if that fails."""
        if not (self._unnumbered or self._being_numbered):
            return
        if self._numbering is None:
            self._numbering = asyncio.get_running_loop().create_future()
        self._wake()
        await asyncio.shield(self._numbering)

    def _wake(self) -> None:
        if self._task is None and not self._closing:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        delay = _FIRST_DELAY_SECONDS
        try:
            while self._waiting or self._unnumbered:
                batch, self._waiting = self._waiting[:UNITS_AT_ONCE], self._waiting[UNITS_AT_ONCE:]
                failure = await self._store(batch)
                if failure is None:
                    delay = _FIRST_DELAY_SECONDS
                    # Those who were told hand over what they have next, before the next batch begins.
                    await asyncio.sleep(0)
                    continue
                self._settle(failure)
                if self._closing:
                    return  # it is numbered at the next start
                if not self._waiting:
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
        finally:
            self._task = None

    def _settle(self, failure: Exception | None) -> None:
        numbering, self._numbering = self._numbering, None
        if numbering is None or numbering.done():
            return
        if failure is None:
            numbering.set_result(None)
        else:
            numbering.set_exception(failure)
            numbering.exception()  # nobody need be waiting

    async def _store(self, batch: Sequence[Write]) -> Exception | None:
        """Store a batch and tell its units; returns what kept the log from being numbered."""
        attempt = _Attempt(self._database, batch)
        try:
            link = await self._pool.take()
        except Exception as error:
            cause = error if isinstance(error, Failure) else Failure(f"{self._database}: {error}")
            _fail(batch, CommitFailed(cause, uncertain=False))
            return cause
        self._being_numbered, self._unnumbered = (
            self._unnumbered,
            False,
        )  # what is committed from now on is for the next
        try:
            appended, head = await attempt.run(link, self._clock)
        except BaseException as error:
            self._unnumbered = self._unnumbered or self._being_numbered
            self._being_numbered = False
            self._pool.give_unfinished(link)
            if not isinstance(error, Exception):
                _fail(batch, CommitFailed(Failure(f"{self._database} is closing"), uncertain=attempt.uncertain))
                raise
            return await self._failed(batch, error, uncertain=attempt.uncertain)
        self._being_numbered = False
        await self._vacuum(link, attempt.moved)
        self._pool.give(link)
        if not self._unnumbered:
            self._settle(None)
        if appended:
            self._on_commit(appended, head)
        return None

    async def _failed(self, batch: Sequence[Write], error: Exception, *, uncertain: bool) -> Exception | None:
        if is_moved(error):  # there is nothing left to number either
            self._unnumbered = False
            self._settle(None)
            _fail(batch, Moved())
            return None
        failure = failure_of(error, self._database) or Failure(f"{self._database}: not stored: {error}")
        if is_lost(error):
            _fail(batch, CommitFailed(failure, uncertain=uncertain))
            return failure
        if len(batch) > 1:  # one of them is at fault: each for itself
            for write in batch:
                await self._store([write])
            return None
        if batch:
            _tell(batch[0], CommitFailed(failure, uncertain=False))
            return None
        return failure

    async def _vacuum(self, link: Link, moved: int) -> None:
        """Rows that pass through in great numbers leave a long trail behind, sooner than autovacuum comes round."""
        self._numbered += moved
        if self._numbered >= _NUMBERED_BEFORE_VACUUM:
            self._numbered = 0
            try:
                await link.connection.execute("vacuum insula_outgoing")
            except Exception as error:
                if is_lost(error):
                    return  # the pool notices
                raise

    async def close(self) -> None:
        """Store what waits, and take no more."""
        self._closing = True
        if self._task is not None:
            await asyncio.wait([self._task])
        _fail(self._waiting, CommitFailed(Failure(f"{self._database} is closing"), uncertain=False))

    def let_go(self) -> None:
        """Stop at once."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()


class _Attempt:
    """One transaction of a batch. `uncertain` says whether its end may have reached the server."""

    def __init__(self, database: str, batch: Sequence[Write]) -> None:
        self._database = database
        self._batch = batch
        self.uncertain = False
        self.moved = 0

    async def run(self, link: Link, clock: Clock) -> tuple[set[str], int | None]:
        """Store, then tell every unit; returns the types appended and the new end of the log."""
        if all(write.mark is None and not write.operations for write in self._batch):
            self.uncertain = True  # one statement is its own transaction
            appended, head = await self._append(link, self._batch)
            _tell_all(self._batch)
            return appended, head
        connection = link.connection
        await connection.execute("begin")
        duplicates = await self._mark(link, clock)
        fresh = [write for write in self._batch if id(write) not in duplicates]
        fenced: set[Operation] = set()
        for write in fresh:
            for operation in write.operations:
                if operation.sql == FENCE:
                    if operation in fenced:
                        continue  # it holds until the commit
                    fenced.add(operation)
                await connection.execute(operation.sql, *operation.arguments)
        appended, head = await self._append(link, fresh)
        self.uncertain = True
        await connection.execute("commit")
        for write in self._batch:
            if id(write) in duplicates:
                _tell(write, Duplicate(duplicates[id(write)]))
        _tell_all(fresh)
        return appended, head

    async def _mark(self, link: Link, clock: Clock) -> dict[int, Answer]:
        """Mark all messages; those marked before, in this batch too, with what was answered then."""
        marked = [(write, write.mark) for write in self._batch if write.mark is not None]
        if not marked:
            return {}
        pairs = [(mark, write.answer or Answer(Outcome.DONE)) for write, mark in marked]
        rows = await link.connection.fetch(MARKS, *mark_columns(pairs, clock.now()))
        new = {(row[0], row[1]) for row in rows}
        duplicates: dict[int, Answer] = {}
        for write, mark in marked:
            if (mark.consumer, mark.message_id) in new:
                new.discard((mark.consumer, mark.message_id))
                continue
            row = await link.connection.fetchrow(ANSWERED, mark.consumer, mark.message_id)
            duplicates[id(write)] = answer_of(row)
        return duplicates

    async def _append(self, link: Link, writes: Sequence[Write]) -> tuple[set[str], int | None]:
        envelopes = [each for write in writes for each in write.envelopes]
        head, self.moved, moved_types = await link.connection.fetchrow(APPEND, *rows_of(envelopes))
        appended = {each.type for each in envelopes}.union(moved_types or ())
        if any(write.saves_timers for write in writes):
            appended.add(TIMER_SAVED)
        return appended, head


def _fail(writes: Sequence[Write], error: BaseException) -> None:
    for write in writes:
        _tell(write, error)


def _tell(write: Write, error: BaseException) -> None:
    if not write.durable.done():
        write.durable.set_exception(error)
        write.durable.exception()  # a caller that has left does not hear of it


def _tell_all(writes: Sequence[Write]) -> None:
    for write in writes:
        if not write.durable.done():
            write.durable.set_result(None)
