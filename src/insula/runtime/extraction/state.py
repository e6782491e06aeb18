"""What an extraction notes in its target, in the transactions that it is about."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, delete, select
from sqlalchemy import Connection as SqlConnection

from insula.store.moving import STATE, STATE_TABLE

_STATE = Table(STATE, MetaData(), Column("name", String), Column("value", String))


def noted(sql: SqlConnection) -> dict[str, str]:
    """Everything that was noted."""
    sql.exec_driver_sql(STATE_TABLE)
    return {row.name: row.value for row in sql.execute(select(_STATE))}


def remember(sql: SqlConnection, name: str, value: str | None) -> None:
    """Note something; None forgets it."""
    sql.execute(delete(_STATE).where(_STATE.c.name == name))
    if value is not None:
        sql.execute(_STATE.insert(), {"name": name, "value": value})
