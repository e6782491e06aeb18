"""The unit of work of a `def` handler: the same transaction, driven from a worker thread."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

from sqlalchemy import Result
from sqlalchemy.orm import Session

from insula.messages import Command, Event
from insula.store.guard import place_of
from insula.store.handler_unit import HandlerUnit
from insula.store.unit_of_work import Parameters, Statement, executable


class ThreadUnit:
    """Implements `SyncUnitOfWork`. While it holds the turn no other unit of the module runs: keep it short."""

    def __init__(self, unit: HandlerUnit, loop: asyncio.AbstractEventLoop) -> None:
        self._unit = unit
        self._loop = loop

    @property
    def session(self) -> Session:
        """SQLAlchemy's session in this transaction; takes the writer's turn."""
        self._begin(place_of(sys._getframe(1)))
        return self._unit.entities

    def execute(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """Run a statement, taking the turn first."""
        self._begin(place_of(sys._getframe(1)))
        return self._unit.run(executable(statement), parameters)

    def scalar(self, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row."""
        self._begin(place_of(sys._getframe(1)))
        return self._unit.run(executable(statement), parameters).scalar()

    def publish(self, event: Event) -> None:
        """Leave with the commit."""
        self._unit.publish(event)

    def send(self, command: Command[Any], *, delay: timedelta | None = None) -> None:
        """Leave with the commit."""
        self._unit.send(command, delay=delay)

    def finish(self) -> None:
        """Write what the session holds; called on the worker thread, when the body has returned."""
        self._unit.flush()

    def _begin(self, place: str) -> None:
        if self._unit.writing is None:
            asyncio.run_coroutine_threadsafe(self._unit.begin(place, on_thread=True), self._loop).result()
