"""Messages that leave with the commit of an application of one's own: kept in a table among that application's tables.

The transactional outbox (Richardson, "Microservices Patterns", 2018, section 3.3.7) without a System. What waits in it
is carried on by `insula relay`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    cast,
    event,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.orm import Mapper, registry

from insula.kernel.context import ANONYMOUS, clock_of_process, randomness_of_process
from insula.kernel.errors import ConfigurationError
from insula.kernel.ids import Uuid7
from insula.messages import Command, Envelope, Event, key_of, kind_of, to_cloudevent
from insula.messaging.outgoing import encoded

WAITING, DELAYED, PARKED, BEHIND, SENT, DROPPED = "waiting", "delayed", "parked", "behind", "sent", "dropped"
"""The states of a message in an outbox. One that is delayed or parked holds its key: what follows stays behind it."""

DIALECTS = ("postgresql", "sqlite")


class AnySession(Protocol):
    """What takes entities in: a Session, an AsyncSession, a scoped session, the session of a unit of work."""

    def add(self, entity: object, /) -> None:
        """Insert an entity when the session is flushed."""
        ...


class Outbox:
    """A table of messages, in the metadata of an application, that are sent once their transaction has committed.

    Parameters: `metadata`, to which the tables are added, so that migrations see them; `source`, the name under which
    the messages are sent (default "application"); `name` of the table (default "outbox"), beside which stands
    another that ends in "_lease".

    On PostgreSQL and SQLite. Messages of one key leave in the order in which their transactions committed: on
    PostgreSQL a transaction that adds one holds a lock on its key from then on, so add last.
    """

    def __init__(self, metadata: MetaData, *, source: str = "application", name: str = "outbox") -> None:
        if not source or source.split() != [source]:
            raise ValueError(f"Outbox: source={source!r} must be one word, such as source='shop'")
        self.source = source
        self.table = _messages(metadata, name)
        self.lease = _lease(metadata, name)
        # A class of its own, so that a session treats a message as it treats an entity: order, savepoints, rollback.
        self._entity: type[Any] = type("OutboxMessage", (), {})
        registry(metadata=metadata).map_imperatively(self._entity, self.table)
        event.listen(self._entity, "before_insert", self._before_insert)

    def add(
        self,
        session: AnySession | Connection,
        message: Event | Command[Any],
        *,
        key: str | int | None = None,
    ) -> str:
        """Let a message leave with the commit of this session or connection; without a commit it never does.

        Nothing is awaited, with an `AsyncSession` neither; in an `AsyncConnection` call it by
        `await connection.run_sync(outbox.add, message)`.

        Parameters: `key`, in which the order is kept (default: that of the message class).
        Returns the id of the message, by which its receiver knows it again.
        Raises `OutgoingInvalid` for a message that does not fit its types, TypeError for what is neither an Event nor a
        Command and for no session, ConfigurationError on other databases.
        """
        row = self._row(message, key)
        if isinstance(session, Connection):
            self._lock_keys(session, {row["key"]})
            session.execute(insert(self.table).values(row))
        elif hasattr(session, "add"):
            session.add(self._entity(**row))
        else:
            raise TypeError(
                f"Outbox.add takes a Session, an AsyncSession or a Connection, not {type(session).__name__}; with an "
                "AsyncConnection write await connection.run_sync(outbox.add, message)"
            )
        return str(row["id"])

    def _row(self, message: Event | Command[Any], key: str | int | None) -> dict[str, Any]:
        cls = type(message)
        kind = kind_of(cls)
        if kind == "query":
            raise TypeError(f"Outbox.add takes an Event or a Command; {cls.__name__} is a Query, whose answer is lost")
        clock, subject = clock_of_process(), key_of(message) if key is None else str(key)
        # A source of its own for each: web servers and task queues fork, and a shared one could go on alike in two.
        message_id, now = Uuid7(clock, randomness_of_process()).new(), clock.now()
        envelope = Envelope(
            id=message_id, source=self.source, type=cls.__message_name__, kind=kind, version=cls.__version__,
            subject=subject or None, time=now, data=encoded(message, "Outbox.add"), correlation_id=message_id,
            causation_id=None, traceparent=None, caller=ANONYMOUS.subject,
            expires_at=None if cls.__expires__ is None else now + cls.__expires__,
        )  # fmt: skip
        return {
            "id": message_id, "type": envelope.type, "key": envelope.subject, "added_at": now, "state": WAITING,
            "attempts": 0, "message": to_cloudevent(envelope).decode(),
        }  # fmt: skip

    def _before_insert(self, _: Mapper[Any], connection: Connection, entity: Any) -> None:
        """Before the first of a flush is inserted, lock the keys of all, in one order for everybody."""
        session = inspect(entity).session
        entities = [entity] if session is None else [each for each in session.new if type(each) is self._entity]
        if entity is entities[0]:
            self._lock_keys(connection, {each.key for each in entities})

    def _lock_keys(self, connection: Connection, keys: set[str | None]) -> None:
        """Before they are numbered: so positions of one key follow each other as the commits do."""
        dialect = connection.dialect.name
        if dialect not in DIALECTS:
            raise ConfigurationError(f"an Outbox keeps its order on PostgreSQL and SQLite, not on {dialect}")
        locks = sorted({self._lock(key) for key in keys if key is not None})
        if dialect == "postgresql" and locks:
            each = func.unnest(cast(locks, ARRAY(BigInteger))).column_valued("lock")
            connection.execute(select(func.pg_advisory_xact_lock(each)))

    def _lock(self, key: str) -> int:
        digest = hashlib.sha256(f"{self.table.fullname}/{key}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


def _messages(metadata: MetaData, name: str) -> Table:
    position = Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    table = Table(
        name, metadata, position,
        Column("id", String(64), nullable=False),
        Column("type", Text, nullable=False),
        Column("key", Text),
        Column("message", Text, nullable=False, comment="CloudEvent 1.0, structured JSON"),
        Column("added_at", DateTime(timezone=True), nullable=False),
        Column("state", String(8), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("due_at", DateTime(timezone=True)),
        Column("error", Text),
        Column("sent_at", DateTime(timezone=True)),
        sqlite_autoincrement=True,
    )  # fmt: skip
    state = table.c.state
    for part, columns, states in (
        ("waiting", (table.c.position,), (WAITING,)),
        ("held", (table.c.key, table.c.position), (DELAYED, PARKED, BEHIND)),
        ("sent", (table.c.sent_at,), (SENT, DROPPED)),
    ):
        only = state == states[0] if len(states) == 1 else state.in_(states)
        Index(f"{name}_{part}", *columns, postgresql_where=only, sqlite_where=only)
    return table


def _lease(metadata: MetaData, name: str) -> Table:
    return Table(
        f"{name}_lease", metadata,
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("holder", Text, nullable=False),
        Column("token", BigInteger, nullable=False),
        Column("until", DateTime(timezone=True), nullable=False),
    )  # fmt: skip
