"""Which messages an application of one's own has taken: a mark in its transaction, so that a second delivery shows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, DateTime, Index, MetaData, String, Table, delete
from sqlalchemy.dialects import postgresql, sqlite

from insula.kernel.context import clock_of_process
from insula.kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class Inbox:
    """A table of marks, in the metadata of an application, one for each message that a consumer has taken.

    Parameters: `metadata`, to which the table is added, so that migrations see it; `kept`, how long `prune` leaves a
    mark, in seconds or as a timedelta: longer than a message may come again (default 30 days); `name` of the table
    (default "inbox"). On PostgreSQL and SQLite.
    """

    def __init__(
        self, metadata: MetaData, *, kept: float | timedelta = timedelta(days=30), name: str = "inbox"
    ) -> None:
        self._kept = kept if isinstance(kept, timedelta) else timedelta(seconds=kept)
        if self._kept <= timedelta():
            raise ValueError(f"Inbox: kept={kept!r} is no time to keep a mark; write more than zero, such as 30 days")
        self.table = Table(
            name, metadata,
            Column("consumer", String(255), primary_key=True),
            Column("message_id", String(255), primary_key=True),
            Column("taken_at", DateTime(timezone=True), nullable=False),
        )  # fmt: skip
        Index(f"{name}_at", self.table.c.taken_at)

    def first_time(self, session: Session | Connection, *, consumer: str, message_id: str) -> bool:
        """Whether this consumer takes the message for the first time; if so it is marked with the commit.

        Where another transaction is just taking the same message, this waits for its end. With an `AsyncSession` or an
        `AsyncConnection`: `await session.run_sync(inbox.first_time, consumer="receipts", message_id=...)`.

        Parameters: `consumer`, a name for what is done with the message, never to be changed; `message_id` as sent.
        Raises TypeError for no session, ConfigurationError on other databases.
        """
        if not consumer or not message_id:
            raise ValueError(
                f"Inbox.first_time: consumer={consumer!r}, message_id={message_id!r}: neither may be empty"
            )
        connection = self._connection(session)
        mark = _INSERTS[connection.dialect.name](self.table).values(
            consumer=consumer, message_id=message_id, taken_at=clock_of_process().now()
        )
        marked = mark.on_conflict_do_nothing().returning(self.table.c.message_id)
        return connection.execute(marked).first() is not None

    def prune(self, session: Session | Connection) -> int:
        """Delete the marks that are older than `kept`, with the commit; returns how many. Call it daily."""
        expired = self.table.c.taken_at < clock_of_process().now() - self._kept
        return self._connection(session).execute(delete(self.table).where(expired)).rowcount

    def _connection(self, session: Session | Connection) -> Connection:
        """The session's connection to where the marks are."""
        if hasattr(session, "run_sync") or not hasattr(session, "execute"):
            raise TypeError(
                f"an Inbox takes a Session or a Connection, not {type(session).__name__}; with an AsyncSession write "
                "await session.run_sync(inbox.first_time, consumer=..., message_id=...)"
            )
        connection = (
            session if isinstance(session, Connection) else session.connection(bind_arguments={"clause": self.table})
        )
        if connection.dialect.name not in _INSERTS:
            raise ConfigurationError(f"an Inbox works on PostgreSQL and SQLite, not on {connection.dialect.name}")
        return connection
