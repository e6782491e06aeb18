"""The ORM session of a unit of work: SQLAlchemy's session, bound to the unit's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, Protocol, TypeVar

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Result, ScalarResult
from sqlalchemy.orm import Session

from insula.store.errors import FlushFailed
from insula.store.unit_of_work import Parameters, Statement, executable

Entity = TypeVar("Entity")


class Transaction(Protocol):
    """What a session needs of its unit of work."""

    @property
    def sql(self) -> SqlConnection:
        """The shared transaction, while this unit holds the turn; raises otherwise."""
        ...

    async def turn(self) -> None: ...


class BoundSession(Session):
    """A session that cannot end its transaction, which the unit of work does, and that runs SQL in its turn only."""

    failed: Exception | None = None

    def __init__(self, unit: Transaction) -> None:
        super().__init__(join_transaction_mode="control_fully", expire_on_commit=False)
        self._unit = unit

    def get_bind(self, *_: Any, **__: Any) -> SqlConnection:
        """Asked before every statement, also for what an entity loads by itself when its attribute is read."""
        return self._unit.sql

    @property
    def pending(self) -> bool:
        """Whether something waits to be flushed."""
        return bool(self.new or self.dirty or self.deleted)

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


class UnitSession:
    """The part of SQLAlchemy's AsyncSession that handlers need, taking the writer's turn before the first SQL."""

    def __init__(self, unit: Transaction, session: BoundSession) -> None:
        self._unit = unit
        self._session = session

    def add(self, entity: object) -> None:
        """Insert `entity` when the unit ends or flushes."""
        self._session.add(entity)

    def add_all(self, entities: Iterable[object]) -> None:
        """Insert them when the unit ends or flushes."""
        self._session.add_all(entities)

    async def delete(self, entity: object) -> None:
        """Delete `entity` when the unit ends or flushes."""
        await self._unit.turn()
        self._session.delete(entity)

    async def get(self, entity: type[Entity], identity: Any) -> Entity | None:
        """The entity with that primary key, or None."""
        await self._unit.turn()
        return self._session.get(entity, identity)

    async def execute(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """Run a statement; entities come from the identity map."""
        await self._unit.turn()
        return self._session.execute(executable(statement), parameters)

    async def scalar(self, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return (await self.execute(statement, parameters)).scalar()

    async def scalars(self, statement: Statement, parameters: Parameters = None) -> ScalarResult[Any]:
        """The first column of every row."""
        return (await self.execute(statement, parameters)).scalars()

    async def merge(self, entity: Entity) -> Entity:
        """Copy the state of `entity` onto the persistent one."""
        await self._unit.turn()
        return self._session.merge(entity)

    async def refresh(self, entity: object) -> None:
        """Read the entity's columns again."""
        await self._unit.turn()
        self._session.refresh(entity)

    async def flush(self) -> None:
        """Write what is pending."""
        await self._unit.turn()
        self._session.flush()
