"""The unit of work on SQLite: a savepoint in the writer's current batch."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Executable, Result, Row

from insula.adapters.sqlite.connection import outside
from insula.adapters.sqlite.errors import (
    StatementDenied,
    StatementForgotten,
    TransactionLost,
    UnitOver,
    machine_failure,
)
from insula.adapters.sqlite.guard import place_of
from insula.adapters.sqlite.orm import BoundSession, UnitSession
from insula.adapters.sqlite.reader import Reader
from insula.adapters.sqlite.tables import BookKeeping
from insula.adapters.sqlite.writer import ROLLBACK, Writer
from insula.messages import Command, Envelope, Event
from insula.store.database import Answer, Mark, Outcome, ParkedState, Scope, Timer
from insula.store.errors import ForeignAwait
from insula.store.log import TIMER_SAVED
from insula.store.unit_of_work import OrmSession, Parameters, Statement, executable

Value = TypeVar("Value")

_SAVE_UNIT = "savepoint insula_unit -- insula"
_SAVE_EFFECTS = "savepoint insula_effects -- insula"
_UNDO_UNIT = "rollback to insula_unit -- insula"
_UNDO_EFFECTS = "rollback to insula_effects -- insula"
_KEEP_UNIT = "release insula_unit -- insula"


class UnitSignal(BaseException):
    """Ends a run of the body from within; not an Exception, so that a handler's `except Exception` lets it pass."""


class MarkedBefore(UnitSignal):
    """The scope's mark was in the inbox when the turn began."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("marked before")
        self.answer = answer


class PeekStale(UnitSignal):
    """What was peeked has changed; the body has to run again."""


class SqliteUnit:
    """One run of a body. Implements `Unit`; nothing touches the file before the turn begins."""

    def __init__(self, writer: Writer, reader: Reader, tables: BookKeeping, scope: Scope, *, alone: bool) -> None:
        self._writer = writer
        self._reader = reader
        self._tables = tables
        self._scope = scope
        self._alone = alone
        self._peeks: list[tuple[Executable, Parameters, Sequence[Row[Any]], int]] = []
        self._entities: BoundSession | None = None
        self._task = asyncio.current_task()
        self.writing: str | None = None
        self.ended: BaseException | None = None
        self.lost = False
        self._saved = False
        self._owed = 0

    # -- the user's verbs

    @property
    def session(self) -> OrmSession:
        """The ORM session of this transaction."""
        return UnitSession(self, self.entities)

    @property
    def entities(self) -> BoundSession:
        """SQLAlchemy's own session of this transaction."""
        if self.ended is not None:
            raise self.ended
        if self._entities is None:
            self._entities = BoundSession(self)
        return self._entities

    # Not `async`: so a statement that is made and never awaited counts, and here the caller's line is certain.
    def execute(self, statement: Statement, parameters: Parameters = None) -> Coroutine[Any, Any, Result[Any]]:
        """Run a statement, taking the turn first."""
        self._owed += 1
        return self._execute(statement, parameters, "" if self.writing else place_of(sys._getframe(1)))

    def scalar(self, statement: Statement, parameters: Parameters = None) -> Coroutine[Any, Any, Any]:
        """The first column of the first row."""
        self._owed += 1
        return self._scalar(statement, parameters, "" if self.writing else place_of(sys._getframe(1)))

    async def _execute(self, statement: Statement, parameters: Parameters, place: str) -> Result[Any]:
        self._owed -= 1
        if self.writing is None:
            await self.begin(place)
        return self.run(statement, parameters)

    async def _scalar(self, statement: Statement, parameters: Parameters, place: str) -> Any:
        self._owed -= 1
        if self.writing is None:
            await self.begin(place)
        return self.run(statement, parameters).scalar()

    async def peek(self, statement: Statement, parameters: Parameters = None) -> Sequence[Row[Any]]:
        """Read committed rows without a turn; within the turn, read in the transaction."""
        prepared = executable(statement)
        if self.writing is not None:
            return self.run(prepared, parameters).all()
        seen = self._writer.visible_changes
        rows = await self._reader.rows(prepared, parameters)
        self._peeks.append((prepared, parameters, rows, seen))
        return rows

    def publish(self, event: Event) -> None:
        """Leave with the commit."""
        self._departure().publish(event)

    def send(self, command: Command[Any], *, delay: timedelta | None = None) -> None:
        """Leave with the commit."""
        self._departure().send(command, delay=delay)

    @property
    def sql(self) -> SqlConnection:
        """SQLAlchemy's connection of the shared transaction, while this unit holds the turn."""
        if self.ended is not None:
            raise self.ended
        if self.writing is None:
            raise RuntimeError(
                f"{self._scope.place}: an entity wants to load an attribute before the unit's first statement; "
                "read it with `await work.session.refresh(entity)`"
            )
        return self._writer.sql

    def _departure(self) -> Any:
        if self.ended is not None:
            raise self.ended
        if self._scope.departure is None:
            raise RuntimeError(f"{self._scope.place}: this unit publishes nothing")
        return self._scope.departure

    # -- the turn

    async def begin(self, place: str, *, savepoint: bool = True, on_thread: bool = False) -> None:
        """Take the turn: mark the message, open the effects, and see that what was peeked still holds."""
        if self.ended is not None:
            raise self.ended
        if asyncio.current_task() is not self._task and not on_thread:
            raise ForeignAwait(
                f"{self._scope.place}: the first statement ({place}) runs in a task of its own (gather, create_task); "
                "a unit of work belongs to its handler: await one statement after the other"
            )
        await self._writer.acquire(alone=self._alone)
        if self.ended is not None:  # meanwhile, which only a thread that outlives its handler can see
            self._writer.release(None)
            raise self.ended
        self.writing = place
        self._writer.connection.within = self.within
        if savepoint:
            self._writer.statement(_SAVE_UNIT)
            self._saved = True
        mark = self._scope.mark
        if mark is not None:
            if not self._tables.mark(mark):
                raise self._end(MarkedBefore(self._tables.find(mark)))
            self._writer.statement(_SAVE_EFFECTS)
        changes = self._writer.changes
        for statement, parameters, rows, seen in self._peeks:
            if changes != seen and self.run(statement, parameters).all() != rows:
                raise self._end(PeekStale())

    def _end(self, signal: BaseException) -> BaseException:
        self.ended = signal
        self._writer.connection.within = outside
        return signal

    def run(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """Run a user's statement inside the turn."""
        return self.sql.execute(executable(statement), parameters)

    def within(self, action: Callable[..., object], *arguments: Any) -> None:
        """Run a statement of user code inside the turn, and notice when it took the whole batch with it."""
        connection = self._writer.connection
        self._require_transaction()
        connection.user_code = True
        try:
            action(*arguments)
        except sqlite3.Error as error:
            explained = self._explained(error)
            if explained is error:
                raise
            raise explained from error
        finally:
            connection.user_code = False
            if not connection.in_transaction and self.ended is None:
                self.lose(f"{self._scope.place} ended the shared transaction")

    def _require_transaction(self) -> None:
        """Raise what ended this run; the transaction may be gone without an error that came this far."""
        if self.ended is None and not self._writer.connection.in_transaction:
            self.lose(f"{self._scope.place}: the shared transaction has ended")
        if self.ended is not None:
            raise self.ended

    def _explained(self, error: sqlite3.Error) -> BaseException:
        connection = self._writer.connection
        if not connection.in_transaction:
            failure = machine_failure(error, self._scope.place)
            return self.lose(str(error) if failure is None else str(failure), failure)
        if connection.denied is not None:
            reason, connection.denied = connection.denied, None
            return StatementDenied(f"{self._scope.place} ({self.writing}): {reason}")
        return machine_failure(error, self._scope.place) or error

    def lose(self, reason: str, failure: Exception | None = None) -> BaseException:
        """The outer transaction is gone: run nothing more; the neighbours are told when the turn is given back."""
        self.lost = True
        return self._end(failure or TransactionLost(reason))

    # -- how a run ends

    async def finish(self, value: Any) -> Any:
        """Write what leaves with the commit and keep everything; returns the future of durability, None if unused."""
        scope, departure = self._scope, self._scope.departure
        if self._owed:
            raise StatementForgotten(
                f"{scope.place}: {self._owed} statement(s) were made and not awaited, so they did not run; "
                "write `await work.execute(...)`. Nothing of this run is kept"
            )
        # Also where nobody will repeat it: what does not fit its type must not leave after a commit.
        answer = None if scope.answer is None else scope.answer(value)
        leaving = departure is not None and (departure.envelopes or departure.timers)
        if self.writing is None:
            pending = self._entities is not None and self._entities.pending
            if not (leaving or pending or scope.mark is not None or scope.finally_):
                self.over()
                return None
            # A single insert is atomic by itself: no savepoint is needed to undo a part of it.
            single = not (pending or scope.mark or scope.finally_) and departure is not None and departure.single
            await self.begin(scope.place, savepoint=not single)
        self._require_transaction()
        self.flush()
        appended: set[str] = set()
        if departure is not None and leaving:
            appended = self._tables.append(departure.envelopes)
            self._tables.save_timers(departure.timers)
            if departure.timers:
                appended.add(TIMER_SAVED)
        for step in scope.finally_:
            await step(self)
        if scope.mark is not None and answer is not None:
            self._tables.answer(scope.mark, Answer(Outcome.DONE, answer))
        if self._saved:
            self._writer.statement(_KEEP_UNIT)
        self._writer.appended |= appended
        self.over()
        return self._writer.release(self._scope)

    def flush(self) -> None:
        """Write what the session holds."""
        if self._entities is not None:
            self._entities.flush()

    @property
    def answers_rejections(self) -> bool:
        """Whether a rejection is an answer to somebody, to be kept with the mark if there is one."""
        return self._scope.mark is None or self._scope.reject is not None

    async def reject(self, rejection: Exception) -> Any:
        """Undo the effects, keep mark and answer."""
        scope = self._scope
        if self.writing is None:
            if scope.mark is None:
                self.over()
                return None
            await self.begin(scope.place)
        self._require_transaction()
        self._writer.statement(_UNDO_UNIT if scope.mark is None else _UNDO_EFFECTS)
        if scope.mark is not None and scope.reject is not None:
            self._tables.answer(scope.mark, Answer(Outcome.REJECTED, scope.reject(rejection)))
        self._writer.statement(_KEEP_UNIT)
        self.over()
        return self._writer.release(self._scope)

    def over(self) -> None:
        """Nothing more can be done with this unit: whoever kept it longer than its handler is told so.

        Entities stay readable as far as they are loaded, but load nothing more, and can be added to another unit.
        """
        if self.ended is None:
            self.ended = UnitOver(f"{self._scope.place}: this unit of work has ended with its handler; do not keep it")
        if self._entities is not None:
            self._entities.close()

    def leave(self) -> asyncio.Future[None] | None:
        """End without effects, but wait for the batch: another unit in it may have made the answer found."""
        try:
            self._undo()
        finally:
            durable = self._writer.release(self._scope)
        return durable

    def abandon(self) -> None:
        """Undo everything this run did; harmless when it held no turn."""
        held = self.writing is not None
        try:
            self._undo()
        finally:
            if held:
                self._writer.release(None)

    def _undo(self) -> None:
        self.writing = None
        self.over()
        if not self._saved or not self._writer.connection.in_transaction:
            return
        try:
            self._writer.statement(_UNDO_UNIT)
            self._writer.statement(_KEEP_UNIT)
        except sqlite3.Error:  # what is left of this run must not be stored with the batch
            self._writer.statement(ROLLBACK)

    # -- the framework's own tables

    async def append(self, envelopes: Sequence[Envelope]) -> None:
        """Append to the log."""
        await self.turn()
        self._writer.appended |= self._tables.append(envelopes)

    async def park(self, consumer: str, envelope: Envelope, *, attempts: int, due: datetime, error: str) -> None:
        """Set a message aside."""
        await self.turn()
        self._tables.park(consumer, envelope, attempts, due, error)

    async def repark(self, sequence: int, *, attempts: int, due: datetime, state: ParkedState, error: str) -> None:
        """Change when a parked message is tried again, or that it is not."""
        await self.turn()
        self._tables.repark(sequence, attempts, due, state, error)

    async def bury(self, consumer: str, message_id: str) -> None:
        """Make a parked message a dead letter."""
        await self.turn()
        self._tables.bury(consumer, message_id)

    async def rename_consumer(self, before: str, after: str) -> None:
        """Hand marks and parked messages of one consumer to another."""
        await self.turn()
        self._tables.rename_consumer(before, after)

    async def unpark(self, sequence: int) -> None:
        """Forget a parked message."""
        await self.turn()
        self._tables.unpark(sequence)

    async def save_cursor(self, name: str, position: int) -> None:
        """Remember how far a reader of a log has come."""
        await self.turn()
        self._tables.save_cursor(name, position)

    async def save_timers(self, timers: Sequence[Timer]) -> None:
        """Insert or replace timers."""
        await self.turn()
        self._tables.save_timers(timers)

    async def remove_timers(self, identifiers: Collection[str]) -> None:
        """Delete timers."""
        await self.turn()
        self._tables.remove_timers(identifiers)

    async def close(self, mark: Mark, outcome: Outcome) -> None:
        """Mark a message as ended without its handler."""
        await self.turn()
        if self._tables.mark(mark):
            self._tables.answer(mark, Answer(outcome))

    async def turn(self) -> None:
        """Take the turn unless this unit has it."""
        if self.ended is not None:
            raise self.ended
        if self.writing is None:
            await self.begin(self._scope.place)
