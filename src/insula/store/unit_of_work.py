"""The unit of work: one database transaction of the handler's module, as handlers see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from sqlalchemy import Executable, Result, Row, ScalarResult, text
from sqlalchemy.orm import Session

from insula.messages import Command, Event

Statement: TypeAlias = "Executable | str"
Parameters: TypeAlias = "Mapping[str, Any] | Sequence[Mapping[str, Any]] | None"

Entity = TypeVar("Entity")


def executable(statement: Statement) -> Executable:
    """SQL text becomes a SQLAlchemy text clause."""
    return _clause(statement) if isinstance(statement, str) else statement


# SQLAlchemy reads a text for its parameters each time, and recognises a clause that it has seen.
_clause = lru_cache(maxsize=512)(text)


class OrmSession(Protocol):
    """An ORM session inside a unit of work; the part of SQLAlchemy's AsyncSession that a handler needs.

    There is no `commit` and no `rollback`: the unit does both.
    """

    def add(self, entity: object) -> None: ...
    def add_all(self, entities: Iterable[object]) -> None: ...
    async def delete(self, entity: object) -> None: ...
    async def get(self, entity: type[Entity], identity: Any) -> Entity | None: ...
    async def execute(self, statement: Statement, parameters: Parameters = None) -> Result[Any]: ...
    async def scalar(self, statement: Statement, parameters: Parameters = None) -> Any: ...
    async def scalars(self, statement: Statement, parameters: Parameters = None) -> ScalarResult[Any]: ...
    async def merge(self, entity: Entity) -> Entity: ...
    async def refresh(self, entity: object) -> None: ...
    async def flush(self) -> None: ...


class Outgoing(Protocol):
    """What leaves with the commit of a unit."""

    def publish(self, event: Event) -> None:
        """Append an event to the module's log in this unit's commit; subscribers get it afterwards."""
        ...

    def send(self, command: Command[Any], *, delay: timedelta | None = None) -> None:
        """Send a durable command in this unit's commit, after `delay` if given (default: at once)."""
        ...


@runtime_checkable
class UnitOfWork(Outgoing, Protocol):
    """One transaction of the handler's module: its SQL, events, durable commands and inbox mark commit together.

    Two phases: first `peek` and ask others, then write. The writer's turn begins at the first `execute`;
    from there on nothing but the store may be awaited (`ForeignAwait` otherwise). In the handler of a
    query the unit is read-only and never takes the writer's turn.
    """

    @property
    def session(self) -> OrmSession: ...

    async def execute(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """Run a SQLAlchemy Core statement or SQL text in the transaction; the result is fully fetched."""
        ...

    async def scalar(self, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        ...

    async def peek(self, statement: Statement, parameters: Parameters = None) -> Sequence[Row[Any]]:
        """Read committed rows without taking the writer's turn.

        The rows are read again when the turn begins; if they differ by then, the handler runs again.
        """
        ...


@runtime_checkable
class SyncUnitOfWork(Outgoing, Protocol):
    """The unit of work of a `def` handler, which runs on a worker thread."""

    @property
    def session(self) -> Session: ...

    def execute(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """Run a SQLAlchemy Core statement or SQL text in the transaction; the result is fully fetched."""
        ...

    def scalar(self, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        ...
