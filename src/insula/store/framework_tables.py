"""What Insula keeps in every module's database, as SQLAlchemy sees it: for moving it from one to another."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Integer, MetaData, String, Table
from sqlalchemy.types import TypeDecorator, TypeEngine

from insula.store.moved_rows import MovedTable


class Moment(TypeDecorator[datetime]):
    """A moment in UTC: PostgreSQL's own type, and on SQLite a text of fixed width."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text where there is no type for it."""
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """As it is stored."""
        if dialect.name == "sqlite" and value is not None:
            return value.isoformat(timespec="microseconds")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """As it is meant."""
        return datetime.fromisoformat(value) if isinstance(value, str) else value


_tables = MetaData()

_LOG = Table(
    "insula_log", _tables,
    Column("position", BigInteger), Column("stream", String), Column("stream_version", BigInteger),
    Column("message_id", String), Column("kind", String), Column("type", String), Column("schema_version", Integer),
    Column("key", String), Column("headers", String), Column("data", String), Column("time", Moment),
)  # fmt: skip
_INBOX = Table(
    "insula_inbox", _tables,
    Column("consumer", String), Column("message_id", String), Column("source", String), Column("position", BigInteger),
    Column("fingerprint", String), Column("outcome", String), Column("answer", String), Column("time", Moment),
)  # fmt: skip
_PARKED = Table(
    "insula_parked", _tables,
    Column("sequence", BigInteger), Column("consumer", String), Column("source", String), Column("key", String),
    Column("message_id", String), Column("envelope", String), Column("attempts", Integer), Column("due", Moment),
    Column("state", String), Column("error", String), Column("since", Moment),
)  # fmt: skip
_TIMER = Table(
    "insula_timer", _tables,
    Column("sequence", BigInteger), Column("identifier", String), Column("due", Moment), Column("schedule", String),
    Column("envelope", String),
)  # fmt: skip
_CURSOR = Table("insula_cursor", _tables, Column("name", String), Column("position", BigInteger))

FRAMEWORK_TABLES = (
    MovedTable.of(_LOG, ["position"]),
    MovedTable.of(_INBOX, ["consumer", "message_id"]),
    MovedTable.of(_PARKED, ["sequence"]),
    MovedTable.of(_TIMER, ["identifier"]),
    MovedTable.of(_CURSOR, ["name"]),
)
"""Those that go with a module. Migrations are the database's own, and leases those of whoever runs on it."""
