"""Applies numbered migrations to a SQLite file, each in a transaction of its own."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from insula.adapters.sqlite.connection import Connection, sqlalchemy_connection
from insula.adapters.sqlite.tables import timestamp
from insula.kernel.clock import Clock
from insula.store.migration import Applied, Migration, MigrationFailed, found_in, pending

FRAMEWORK_OWNER = "insula"
FRAMEWORK = Path(__file__).parent / "migrations"

_TABLE = (
    "create table if not exists insula_migration (owner text not null, number integer not null, name text not null,"
    " checksum text not null, applied_at text not null, primary key (owner, number)) without rowid -- insula"
)


def migrate(connection: Connection, clock: Clock, owner: str, folder: Path | None) -> Sequence[Migration]:
    """Bring the framework's own tables, then `owner`'s, to their newest version; returns what was applied.

    Raises `MigrationFailed` naming file and reason, `MigrationEdited` when an applied file has changed.
    """
    connection.execute(_TABLE)
    applied = _apply(connection, clock, FRAMEWORK_OWNER, _frameworks_own())
    if folder is not None:
        applied = [*applied, *_apply(connection, clock, owner, found_in(folder, owner))]
    return applied


@functools.cache
def _frameworks_own() -> Sequence[Migration]:
    return found_in(FRAMEWORK, FRAMEWORK_OWNER)


def applied_to(connection: Connection, owner: str) -> Sequence[Applied]:
    """What the file says was applied of one owner's migrations, in order."""
    rows = connection.execute(
        "select number, name, checksum from insula_migration where owner = ? order by number -- insula", (owner,)
    ).fetchall()
    return [Applied(*row) for row in rows]


def _apply(connection: Connection, clock: Clock, owner: str, found: Sequence[Migration]) -> Sequence[Migration]:
    outstanding = pending(found, applied_to(connection, owner), owner)
    for migration in outstanding:
        # Off while a table is rebuilt, or dropping the old one deletes what refers to it; checked before the commit.
        connection.execute("pragma foreign_keys=off -- insula")
        connection.execute("begin immediate -- insula")
        try:
            connection.user_code = owner != FRAMEWORK_OWNER
            _run(connection, migration)
            connection.user_code = False
            _check_foreign_keys(connection)
            record = (owner, migration.number, migration.name, migration.checksum, timestamp(clock.now()))
            connection.execute("insert into insula_migration values (?, ?, ?, ?, ?) -- insula", record)
            connection.execute("commit -- insula")
        except Exception as error:
            connection.user_code = False
            reason, connection.denied = connection.denied or str(error), None
            if connection.in_transaction:
                connection.execute("rollback -- insula")
            raise MigrationFailed(f"{migration.path}: {reason}; the database is as before this file") from error
        finally:
            connection.execute("pragma foreign_keys=on -- insula")
    return outstanding


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.execute("pragma foreign_key_check -- insula").fetchall()
    if broken:
        tables = ", ".join(sorted({f"{row[0]} → {row[2]}" for row in broken}))
        raise ValueError(f"{len(broken)} rows would refer to rows that are not there ({tables})")


def _run(connection: Connection, migration: Migration) -> None:
    if migration.upgrade is not None:
        migration.upgrade(sqlalchemy_connection(connection))
        return
    for statement in _statements(migration.text):
        connection.execute(statement)


def _statements(script: str) -> Sequence[str]:
    """Split a script where SQLite itself sees a statement end, so that triggers and quoted semicolons stay whole."""
    statements, begun = [], ""
    for line in script.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            statements.append(begun)
            begun = ""
    if begun.strip():
        statements.append(begun)
    return statements
