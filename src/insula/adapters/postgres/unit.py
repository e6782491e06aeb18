"""The unit of work on PostgreSQL: a serializable transaction of its own, or none where no SQL needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Executable, Row

from insula.adapters.postgres import tables
from insula.adapters.postgres.errors import failure_of, is_conflict, is_lost, is_moved
from insula.adapters.postgres.group_commit import GroupCommit, Write
from insula.adapters.postgres.line import Line
from insula.adapters.postgres.link import Link, outside
from insula.adapters.postgres.pool import Pool
from insula.adapters.postgres.reader import Reader
from insula.adapters.postgres.statements import denied
from insula.adapters.postgres.waiting import in_synchronous_code
from insula.kernel.clock import Clock
from insula.kernel.errors import Failure
from insula.messages import Envelope
from insula.store.database import Answer, Mark, Outcome, ParkedState, Scope, Timer
from insula.store.errors import ForeignAwait, StatementDenied
from insula.store.handler_unit import HandlerUnit
from insula.store.log import TIMER_SAVED
from insula.store.signals import MarkedBefore, Moved, PeekStale, UnitSignal
from insula.store.unit_of_work import Parameters

_SAVE = "savepoint insula_statement"
_KEEP = "release insula_statement"
_UNDO = "rollback to insula_statement; release insula_statement"
_COMMITTED = "COMMIT"


class Conflicted(UnitSignal):
    """Another transaction was there first; the body has to run again."""


class ErrorHidden(UnitSignal):
    """The handler went on after a statement had failed; the body has to run again with a savepoint a statement."""


class CommitLost(Exception):
    """The connection was lost during the commit, for `cause`: it may be stored or not."""

    def __init__(self, cause: Failure) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _no_fence() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Parts:
    """What a module's units share.

    Parameters: `begin`, the statement that opens a transaction; `fence`, tells what to put before each change of what
    only the holder of the module's lease may change; None when no lease is held.
    """

    pool: Pool
    reader: Reader
    group: GroupCommit
    line: Line
    clock: Clock
    begin: str
    committed: Callable[[set[str]], None]
    fence: Callable[[], tables.Operation | None] = _no_fence


class PostgresUnit(HandlerUnit):
    """One run of a body. Implements `Unit`; no connection is taken before the first statement.

    Parameters: `careful`, whether each of the user's statements gets a savepoint, so that the handler can go on after
    one that failed. A transaction cannot without, and nearly no handler does.
    """

    def __init__(self, parts: Parts, scope: Scope, *, careful: bool) -> None:
        super().__init__(scope)
        self._parts = parts
        self._careful = careful
        self._task = asyncio.current_task()
        self._link: Link | None = None
        self._in_line = False
        self._marked: Any = None
        self._later: list[tables.Operation] = []
        self._appended: list[Envelope] = []
        self._saves_timers = False
        self._broken = False

    def connected(self) -> SqlConnection:
        """SQLAlchemy's connection of the transaction."""
        return self._taken().sql

    def _taken(self) -> Link:
        assert self._link is not None  # noqa: S101 - whoever writes has begun
        return self._link

    async def look(self, statement: Executable, parameters: Parameters) -> tuple[int, Sequence[Row[Any]]]:
        """Committed rows; others may have changed them since, so they are always read again."""
        return 0, await self._parts.reader.rows(statement, parameters)

    # -- the turn

    async def begin(self, place: str, *, on_thread: bool = False) -> None:
        """Open the transaction: mark the message, and see that what was peeked still holds."""
        if self.ended is not None:
            raise self.ended
        if asyncio.current_task() is not self._task and not on_thread:
            raise ForeignAwait(
                f"{self._scope.place}: the first statement ({place}) runs in a task of its own (gather, create_task); "
                "a unit of work belongs to its handler: await one statement after the other"
            )
        try:
            await self._open()
        except Exception as error:
            self._raise_explained(error)
        if self.ended is not None:  # meanwhile, which only a thread that outlives its handler can see
            self.drop()
            raise self.ended
        self.writing = place

    async def _open(self) -> None:
        parts, scope = self._parts, self._scope
        self._in_line = await parts.line.enter(scope.place)
        link = self._link = await parts.pool.take()
        connection = link.connection
        await connection.execute(parts.begin)
        if scope.mark is not None:
            row = await connection.fetchrow(tables.MARK, *tables.mark_row(scope.mark, parts.clock.now()))
            if row is None:
                found = await connection.fetchrow(tables.ANSWERED, scope.mark.consumer, scope.mark.message_id)
                raise self._end(MarkedBefore(tables.answer_of(found)))
            self._marked = row[0]
        link.within = self.within
        for statement, parameters, rows, _ in self._peeks:
            if await in_synchronous_code(self._again, statement, parameters) != rows:
                raise self._end(PeekStale())

    def _again(self, statement: Executable, parameters: Parameters) -> Sequence[Row[Any]]:
        return self.connected().execute(statement, parameters).all()

    def _end(self, signal: BaseException) -> BaseException:
        self.ended = signal
        if self._link is not None:
            self._link.within = outside
        return signal

    def within(self, sql: str, action: Callable[..., Coroutine[Any, Any, Any]], arguments: tuple[Any, ...]) -> Any:
        """Run a statement of user code inside the turn."""
        if self.ended is not None:
            raise self.ended
        if self._broken:
            raise self._end(ErrorHidden())
        reason = denied(sql)
        if reason is not None:
            raise StatementDenied(f"{self._scope.place} ({self.writing}): {reason}")
        link = self._taken()
        try:
            if self._careful:
                return link.wait_for(self._carefully(link, action, arguments))
            return link.wait_for(action(*arguments))
        except ForeignAwait:
            raise
        except Exception as error:
            self._raise_explained(error)

    async def _carefully(
        self, link: Link, action: Callable[..., Coroutine[Any, Any, Any]], arguments: tuple[Any, ...]
    ) -> Any:
        await link.connection.execute(_SAVE)
        try:
            value = await action(*arguments)
        except Exception:
            if not link.is_closed:
                await link.connection.execute(_UNDO)
            raise
        await link.connection.execute(_KEEP)
        return value

    def _raise_explained(self, error: Exception) -> NoReturn:
        explained = self._explained(error)
        if explained is error:
            raise error
        raise explained from error

    def _explained(self, error: Exception) -> BaseException:
        """What ends the run for an error of the server's; the error itself where the handler may know what to do."""
        if is_conflict(error):
            return self._end(Conflicted(str(error)))
        if is_moved(error):
            return self._end(Moved())
        failure = failure_of(error, self._scope.place)
        if failure is not None and is_lost(error):
            return self._end(failure)
        self._broken = not self._careful
        return failure or error

    # -- how a run ends

    async def finish(self, value: Any) -> asyncio.Future[None] | None:
        """Write what leaves with the commit and keep everything; returns the future of durability, None if it is."""
        self.require_awaited()
        scope, departure = self._scope, self._scope.departure
        # Also where nobody will repeat it: what does not fit its type must not leave after a commit.
        answer = None if scope.answer is None else scope.answer(value)
        if departure is not None:
            self._appended.extend(departure.envelopes)
            self._save_timers(departure.timers)
        if self.writing is None:
            for step in scope.finally_:
                await step(self)
            leaves = self._appended or self._later or scope.mark is not None
            if not (leaves or self.unflushed):
                self.over()
                return None
            if not (self.unflushed or self._peeks):
                return self._hand_over(None if answer is None else Answer(Outcome.DONE, answer))
            await self.begin(scope.place)
            await self._finish_transaction(answer, ())
        else:
            await self._finish_transaction(answer, scope.finally_)
        return None

    def _hand_over(self, answer: Answer | None) -> asyncio.Future[None]:
        self.over()
        return self._parts.group.submit(
            Write(self._scope.mark, answer, self._appended, self._later, saves_timers=self._saves_timers)
        )

    async def _finish_transaction(self, answer: bytes | None, steps: Sequence[Any]) -> None:
        if self.ended is not None:
            raise self.ended
        if self._entities is not None:
            await in_synchronous_code(self.flush)
        if self._broken:
            raise self._end(ErrorHidden())
        try:
            for step in steps:
                await step(self)
            await self._do_later()
            connection = self._taken().connection
            if self._marked is not None and answer is not None:
                await connection.execute(tables.ANSWER, self._marked, Outcome.DONE.value, answer.decode())
            if self._appended:  # last, for it takes the locks of their keys
                await connection.execute(tables.STAGE, *tables.rows_of(self._appended))
        except Exception as error:
            self._raise_explained(error)
        await self._commit()

    async def _commit(self) -> None:
        link = self._taken()
        try:
            status = await link.connection.execute("commit")
        except Exception as error:
            if is_lost(error):
                failure = failure_of(error, self._scope.place)
                raise CommitLost(failure or Failure(str(error))) from error
            explained = self._explained(error)
            if explained is error:
                explained = Failure(f"{self._scope.place}: commit failed: {error}")
            raise explained from error
        finally:
            self._tell()
        if status != _COMMITTED:
            raise self._end(ErrorHidden())
        self.over()
        self._link = None
        self._parts.pool.give(link)
        self._leave_line()

    def _tell(self) -> None:
        """Also where the commit failed: it may be stored, and then somebody must number it."""
        if self._appended:
            self._parts.group.number()
        if self._saves_timers:
            self._parts.committed({TIMER_SAVED})

    async def reject(self, rejection: Exception) -> asyncio.Future[None] | None:
        """Undo the effects, keep mark and answer."""
        scope = self._scope
        await self.abandon()
        if scope.mark is None or scope.reject is None:
            return None
        answer = Answer(Outcome.REJECTED, scope.reject(rejection))
        return self._parts.group.submit(Write(scope.mark, answer))

    async def abandon(self) -> None:
        """Undo everything this run did; harmless when it has begun nothing."""
        link = self._link
        if link is None or link.is_closed:
            self.drop()
            return
        self._link, self.writing = None, None
        self.over()
        link.within = outside
        try:
            await link.connection.execute("rollback")
        except BaseException:
            self._parts.pool.give_unfinished(link)
            raise
        else:
            self._parts.pool.give(link)
        finally:
            self._leave_line()

    def drop(self) -> None:
        """The same without waiting for it: the caller has left, or the connection has."""
        self.writing = None
        self.over()
        link, self._link = self._link, None
        if link is not None:
            self._parts.pool.give_unfinished(link)
        self._leave_line()

    def _leave_line(self) -> None:
        if self._in_line:
            self._in_line = False
            self._parts.line.leave()

    # -- the framework's own tables: put off until the end, and then done in whichever transaction there is

    async def _do(self, *operations: tables.Operation) -> None:
        if self.ended is not None:
            raise self.ended
        self._later.extend(operations)

    async def _do_as_holder(self, *operations: tables.Operation) -> None:
        """The same for what one process of the module does at a time: it must not be done by one that was late."""
        fence = self._parts.fence()
        if fence is not None and fence not in self._later:
            await self._do(fence)
        await self._do(*operations)

    async def _do_later(self) -> None:
        operations, self._later = self._later, []
        for each in operations:
            await self._taken().connection.execute(each.sql, *each.arguments)

    def _save_timers(self, timers: Sequence[Timer]) -> None:
        self._later.extend(tables.save_timer(timer) for timer in timers)
        self._saves_timers = self._saves_timers or bool(timers)

    async def append(self, envelopes: Sequence[Envelope]) -> None:
        """Append to the log."""
        await self._do()
        self._appended.extend(envelopes)

    async def park(self, consumer: str, envelope: Envelope, *, attempts: int, due: datetime, error: str) -> None:
        """Set a message aside."""
        await self._do_as_holder(tables.park(consumer, envelope, attempts, due, error, self._parts.clock.now()))

    async def repark(self, sequence: int, *, attempts: int, due: datetime, state: ParkedState, error: str) -> None:
        """Change when a parked message is tried again, or that it is not."""
        await self._do_as_holder(tables.repark(sequence, attempts, due, state, error))

    async def bury(self, consumer: str, message_id: str) -> None:
        """Make a parked message a dead letter."""
        await self._do_as_holder(tables.bury(consumer, message_id))

    async def rename_consumer(self, before: str, after: str) -> None:
        """Hand marks and parked messages of one consumer to another."""
        await self._do_as_holder(*tables.rename_consumer(before, after))

    async def unpark(self, sequence: int) -> None:
        """Forget a parked message."""
        await self._do_as_holder(tables.unpark(sequence))

    async def save_cursor(self, name: str, position: int) -> None:
        """Remember how far a reader of a log has come."""
        await self._do_as_holder(tables.save_cursor(name, position))

    async def begin_cursor(self, name: str, position: int) -> None:
        """Save a cursor where there is none of that name."""
        await self._do(tables.begin_cursor(name, position))

    async def save_timers(self, timers: Sequence[Timer]) -> None:
        """Insert or replace timers."""
        self._save_timers(timers)
        await self._do()

    async def remove_timers(self, identifiers: Collection[str]) -> None:
        """Delete timers."""
        await self._do_as_holder(tables.remove_timers(identifiers))

    async def close(self, mark: Mark, outcome: Outcome) -> None:
        """Mark a message as ended without its handler."""
        await self._do(tables.close(mark, outcome, self._parts.clock.now()))
