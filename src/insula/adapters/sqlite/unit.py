"""The unit of work on SQLite: a savepoint in the writer's current batch."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Executable, Row

from insula.adapters.sqlite.connection import outside
from insula.adapters.sqlite.errors import TransactionLost, machine_failure
from insula.adapters.sqlite.reader import Reader
from insula.adapters.sqlite.tables import BookKeeping
from insula.adapters.sqlite.writer import ROLLBACK, Writer
from insula.messages import Envelope
from insula.store.database import Answer, Mark, Outcome, ParkedState, Scope, Timer
from insula.store.errors import ForeignAwait, StatementDenied
from insula.store.handler_unit import HandlerUnit
from insula.store.log import TIMER_SAVED
from insula.store.signals import MarkedBefore, Moved, PeekStale
from insula.store.unit_of_work import Parameters

_SAVE_UNIT = "savepoint insula_unit -- insula"
_SAVE_EFFECTS = "savepoint insula_effects -- insula"
_UNDO_UNIT = "rollback to insula_unit -- insula"
_UNDO_EFFECTS = "rollback to insula_effects -- insula"
_KEEP_UNIT = "release insula_unit -- insula"


class SqliteUnit(HandlerUnit):
    """One run of a body. Implements `Unit`; nothing touches the file before the turn begins."""

    def __init__(self, writer: Writer, reader: Reader, tables: BookKeeping, scope: Scope, *, alone: bool) -> None:
        super().__init__(scope)
        self._writer = writer
        self._reader = reader
        self._tables = tables
        self._alone = alone
        self._task = asyncio.current_task()
        self.lost = False
        self._saved = False

    def connected(self) -> SqlConnection:
        """SQLAlchemy's connection of the shared transaction."""
        return self._writer.sql

    async def look(self, statement: Executable, parameters: Parameters) -> tuple[int, Sequence[Row[Any]]]:
        """Committed rows, and how many changes readers saw for certain before."""
        seen = self._writer.visible_changes
        return seen, await self._reader.rows(statement, parameters)

    # -- the turn

    async def begin(self, place: str, *, on_thread: bool = False, savepoint: bool = True) -> None:
        """Take the turn: mark the message, open the effects, and see that what was peeked still holds."""
        if self.ended is not None:
            raise self.ended
        if asyncio.current_task() is not self._task and not on_thread:
            raise ForeignAwait(
                f"{self._scope.place}: the first statement ({place}) runs in a task of its own (gather, create_task); "
                "a unit of work belongs to its handler: await one statement after the other"
            )
        try:
            await self._writer.acquire(alone=self._alone)
        except Moved as signal:
            self.ended = signal
            raise
        if self.ended is not None:  # meanwhile, which only a thread that outlives its handler can see
            self._writer.release(None)
            raise self.ended
        self.writing = place
        self._writer.connection.within = self.within
        if savepoint:
            self._writer.statement(_SAVE_UNIT)
            self._saved = True
        if self._scope.mark is not None:
            self._store_mark(self._scope.mark)
        changes = self._writer.changes
        for statement, parameters, rows, seen in self._peeks:
            if changes != seen and self.run(statement, parameters).all() != rows:
                raise self._end(PeekStale())

    def _store_mark(self, mark: Mark) -> None:
        if not self._tables.mark(mark):
            raise self._end(MarkedBefore(self._tables.find(mark)))
        if self._scope.reject is not None:  # else a "no" keeps nothing, not even the mark
            self._writer.statement(_SAVE_EFFECTS)

    def _end(self, signal: BaseException) -> BaseException:
        self.ended = signal
        self._writer.connection.within = outside
        return signal

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
        self.require_awaited()
        # Also where nobody will repeat it: what does not fit its type must not leave after a commit.
        answer = None if scope.answer is None else scope.answer(value)
        leaving = departure is not None and (departure.envelopes or departure.timers)
        if self.writing is None:
            pending = self.unflushed
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

    async def begin_cursor(self, name: str, position: int) -> None:
        """Save a cursor where there is none of that name."""
        await self.turn()
        self._tables.begin_cursor(name, position)

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
