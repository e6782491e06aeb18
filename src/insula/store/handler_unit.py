"""The half of a unit of work that is the same on every database: the verbs of its handler."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Executable, Result, Row

from insula.messages import Command, Event
from insula.store.database import Scope
from insula.store.errors import StatementForgotten, UnitOver
from insula.store.guard import place_of
from insula.store.session import BoundSession, UnitSession
from insula.store.unit_of_work import OrmSession, Parameters, Statement, executable


class HandlerUnit(ABC):
    """One run of a body. Implements `UnitOfWork`; what `begin` and a statement do is the adapter's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._peeks: list[tuple[Executable, Parameters, Sequence[Row[Any]], int]] = []
        self._entities: BoundSession | None = None
        self.writing: str | None = None
        self.ended: BaseException | None = None
        self._owed = 0

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
        seen, rows = await self.look(prepared, parameters)
        self._peeks.append((prepared, parameters, rows, seen))
        return rows

    def publish(self, event: Event) -> None:
        """Leave with the commit."""
        self._departure().publish(event)

    def send(self, command: Command[Any], *, delay: timedelta | None = None) -> None:
        """Leave with the commit."""
        self._departure().send(command, delay=delay)

    def _departure(self) -> Any:
        if self.ended is not None:
            raise self.ended
        if self._scope.departure is None:
            raise RuntimeError(f"{self._scope.place}: this unit publishes nothing")
        return self._scope.departure

    @property
    def sql(self) -> SqlConnection:
        """SQLAlchemy's connection of the transaction, while this unit holds the turn."""
        if self.ended is not None:
            raise self.ended
        if self.writing is None:
            raise RuntimeError(
                f"{self._scope.place}: an entity wants to load an attribute before the unit's first statement; "
                "read it with `await work.session.refresh(entity)`"
            )
        return self.connected()

    def run(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """Run a user's statement inside the turn."""
        return self.sql.execute(executable(statement), parameters)

    @abstractmethod
    def connected(self) -> SqlConnection:
        """SQLAlchemy's connection; the unit holds the turn."""

    @abstractmethod
    async def look(self, statement: Executable, parameters: Parameters) -> tuple[int, Sequence[Row[Any]]]:
        """Committed rows, and how many changes had been made for certain when they were read."""

    @abstractmethod
    async def begin(self, place: str, *, on_thread: bool = False) -> None:
        """Take the turn for the statement at `place`: mark the message, and see that what was peeked still holds."""

    async def turn(self) -> None:
        """Take the turn unless this unit has it."""
        if self.ended is not None:
            raise self.ended
        if self.writing is None:
            await self.begin(self._scope.place)

    # -- how a run ends

    def require_awaited(self) -> None:
        """Raise `StatementForgotten` for statements that never ran."""
        if self._owed:
            raise StatementForgotten(
                f"{self._scope.place}: {self._owed} statement(s) were made and not awaited, so they did not run; "
                "write `await work.execute(...)`. Nothing of this run is kept"
            )

    @property
    def unflushed(self) -> bool:
        """Whether the session holds what is not written yet."""
        return self._entities is not None and self._entities.pending

    def flush(self) -> None:
        """Write what the session holds."""
        if self._entities is not None:
            self._entities.flush()

    @property
    def answers_rejections(self) -> bool:
        """Whether a rejection is an answer to somebody, to be kept with the mark if there is one."""
        return self._scope.mark is None or self._scope.reject is not None

    def over(self) -> None:
        """Nothing more can be done with this unit: whoever kept it longer than its handler is told so.

        Entities stay readable as far as they are loaded, but load nothing more, and can be added to another unit.
        """
        if self.ended is None:
            self.ended = UnitOver(f"{self._scope.place}: this unit of work has ended with its handler; do not keep it")
        if self._entities is not None:
            self._entities.close()
