"""The ORM session of a unit of work: SQLAlchemy's session, bound to the unit's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, Protocol, TypeVar

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Result, ScalarResult
from sqlalchemy.orm import Session

from insula.adapters.sqlite.errors import FlushFailed
from insula.store.unit_of_work import Parameters, Statement, executable

Entity = TypeVar("Entity")
Value = TypeVar("Value")


class Transaction(Protocol):
    """What a session needs of its unit of work."""

    @property
    def sql(self) -> SqlConnection: ...

    async def turn(self) -> None: ...

    def within(self, action: Callable[..., Value], *arguments: Any) -> Value: ...


class BoundSession(Session):
    """A session that cannot end its transaction: the unit of work commits."""

    failed: Exception | None = None

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Write what is pending. A flush that failed may have written a part of it, so no later one succeeds."""
        if self.failed is not None:
            raise FlushFailed(f"an earlier flush failed; let its error end the handler ({self.failed})")
        try:
            super().flush(objects)
        except Exception as error:
            self.failed = error
            raise

    def commit(self) -> NoReturn:
        """Refused."""
        raise RuntimeError("the unit of work commits when the handler returns; remove session.commit()")

    def rollback(self) -> NoReturn:
        """Refused."""
        raise RuntimeError("the unit of work rolls back when the handler raises; remove session.rollback()")


def bound_session(sql: SqlConnection) -> BoundSession:
    """A session over the open transaction of `sql`, which outlives it."""
    return BoundSession(bind=sql, join_transaction_mode="control_fully", expire_on_commit=False)


class UnitSession:
    """The part of SQLAlchemy's AsyncSession that handlers need, taking the writer's turn before the first SQL."""

    def __init__(self, unit: Transaction) -> None:
        self._unit = unit
        self._session = bound_session(unit.sql)

    @property
    def pending(self) -> bool:
        """Whether something waits to be flushed."""
        return bool(self._session.new or self._session.dirty or self._session.deleted)

    def add(self, entity: object) -> None:
        """Insert `entity` when the unit ends or flushes."""
        self._session.add(entity)

    def add_all(self, entities: Iterable[object]) -> None:
        """Insert them when the unit ends or flushes."""
        self._session.add_all(entities)

    async def delete(self, entity: object) -> None:
        """Delete `entity` when the unit ends or flushes."""
        await self._unit.turn()
        self._unit.within(self._session.delete, entity)

    async def get(self, entity: type[Entity], identity: Any) -> Entity | None:
        """The entity with that primary key, or None."""
        await self._unit.turn()
        return self._unit.within(self._session.get, entity, identity)

    async def execute(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """Run a statement; entities come from the identity map."""
        await self._unit.turn()
        return self._unit.within(self._session.execute, executable(statement), parameters)

    async def scalar(self, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return (await self.execute(statement, parameters)).scalar()

    async def scalars(self, statement: Statement, parameters: Parameters = None) -> ScalarResult[Any]:
        """The first column of every row."""
        return (await self.execute(statement, parameters)).scalars()

    async def merge(self, entity: Entity) -> Entity:
        """Copy the state of `entity` onto the persistent one."""
        await self._unit.turn()
        merged: Entity = self._unit.within(self._session.merge, entity)
        return merged

    async def refresh(self, entity: object) -> None:
        """Read the entity's columns again."""
        await self._unit.turn()
        self._unit.within(self._session.refresh, entity)

    async def flush(self) -> None:
        """Write what is pending."""
        await self._unit.turn()
        self.finish()

    def finish(self) -> None:
        """Write what is pending, inside the turn."""
        self._unit.within(self._session.flush)

    def discard(self) -> None:
        """Forget every entity."""
        self._session.expunge_all()
