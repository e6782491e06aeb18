"""The unit of work of a query's handler: read-only, beside the writers, never in their way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn, Protocol

from sqlalchemy import Executable, Result, Row

from insula.messages import Command, Event
from insula.store.errors import ReadOnly
from insula.store.unit_of_work import OrmSession, Parameters, Statement, executable


class Reader(Protocol):
    """Runs statements that read committed rows. Raises `ReadOnly` for one that would write."""

    async def result(self, statement: Executable, parameters: Parameters, place: str) -> Result[Any]: ...
    def result_in_thread(self, statement: Executable, parameters: Parameters, place: str) -> Result[Any]: ...


class QueryUnit:
    """Implements `UnitOfWork` for reading. Each statement sees the newest committed rows."""

    def __init__(self, reader: Reader, place: str) -> None:
        self._reader = reader
        self._place = place

    @property
    def session(self) -> OrmSession:
        """Refused: an ORM session tracks changes, and a query makes none."""
        raise ReadOnly(f"{self._place}: a query has no ORM session; use execute(select(...)) or make it a Command")

    async def execute(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """Run a statement that reads."""
        return await self._reader.result(executable(statement), parameters, self._place)

    async def scalar(self, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return (await self._reader.result(executable(statement), parameters, self._place)).scalar()

    async def peek(self, statement: Statement, parameters: Parameters = None) -> Sequence[Row[Any]]:
        """The same rows as `execute` gives."""
        return (await self._reader.result(executable(statement), parameters, self._place)).all()

    def publish(self, event: Event) -> NoReturn:
        """Refused."""
        raise ReadOnly(f"{self._place}: a query publishes nothing; make the message a Command")

    def send(self, command: Command[Any], *, delay: timedelta | None = None) -> NoReturn:
        """Refused."""
        raise ReadOnly(f"{self._place}: a query sends nothing; make the message a Command")


class SyncQueryUnit:
    """Implements `SyncUnitOfWork` for the `def` handler of a query, on its worker thread."""

    def __init__(self, reader: Reader, place: str) -> None:
        self._reader = reader
        self._place = place

    @property
    def session(self) -> NoReturn:
        """Refused: an ORM session tracks changes, and a query makes none."""
        raise ReadOnly(f"{self._place}: a query has no ORM session; use execute(select(...)) or make it a Command")

    def execute(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """Run a statement that reads."""
        return self._reader.result_in_thread(executable(statement), parameters, self._place)

    def scalar(self, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return self.execute(statement, parameters).scalar()

    def publish(self, event: Event) -> NoReturn:
        """Refused."""
        raise ReadOnly(f"{self._place}: a query publishes nothing; make the message a Command")

    def send(self, command: Command[Any], *, delay: timedelta | None = None) -> NoReturn:
        """Refused."""
        raise ReadOnly(f"{self._place}: a query sends nothing; make the message a Command")
