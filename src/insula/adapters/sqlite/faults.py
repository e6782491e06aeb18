"""What would keep a module from starting on the file that is there, found without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import MetaData, inspect

from insula.adapters.sqlite.connection import Connection, open_reader, sqlalchemy_connection
from insula.adapters.sqlite.migrate import FRAMEWORK, FRAMEWORK_OWNER, applied_to
from insula.kernel.errors import ConfigurationError
from insula.store.migration import found_in, pending


def faults_of(path: Path, name: str, tables: MetaData | None, migrations: Path | None) -> list[str]:
    """Why module `name` would not start on the file at `path`, a line each; nothing when it would, or has no file.

    Parameters: `tables` and `migrations`, as the module declares them.
    """
    if not path.exists():
        return []
    try:
        connection = open_reader(path)
    except sqlite3.Error as error:
        return [f"{error}; restore it from a backup"]
    try:
        return list(_faults(connection, path, name, tables, migrations))
    except sqlite3.Error as error:
        return [f"{error}; restore it from a backup"]
    finally:
        connection.shut()


def _faults(
    connection: Connection, path: Path, name: str, tables: MetaData | None, migrations: Path | None
) -> Iterator[str]:
    connection.user_code = False  # the statements here are our own
    verdict = connection.execute("pragma quick_check").fetchone()[0]
    if verdict != "ok":
        yield f"{verdict}; restore it from a backup"
        return
    if not connection.execute("select 1 from sqlite_master where name = 'insula_migration'").fetchone():
        return
    folders = [(FRAMEWORK_OWNER, FRAMEWORK)] + ([] if migrations is None else [(name, migrations)])
    for owner, folder in folders:
        try:
            pending(found_in(folder, owner), applied_to(connection, owner), owner)
        except ConfigurationError as error:
            yield str(error)
    if tables is not None and migrations is None:
        yield from missing_columns(sqlalchemy_connection(connection), tables, path)


def missing_columns(sql: SqlConnection, tables: MetaData, path: Path) -> Iterator[str]:
    """Each table of the file that lacks declared columns, with what to do about it."""
    present = inspect(sql)
    for table in tables.sorted_tables:
        if not present.has_table(table.name):
            continue
        columns = {column["name"] for column in present.get_columns(table.name)}
        missing = [column.name for column in table.columns if column.name not in columns]
        if missing:
            yield (
                f"{path}: table {table.name} has no column {', '.join(missing)}; write a migration "
                "(Module(migrations=...)), or delete the file if its data does not matter"
            )
