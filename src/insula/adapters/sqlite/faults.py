"""What would keep a module from starting on the file that is there, found without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from sqlalchemy import MetaData

from insula.adapters.sqlite.connection import Connection, open_reader
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
        yield from missing_columns(columns_of(connection), tables, path)


def columns_of(connection: Connection) -> dict[str, set[str]]:
    """Every table and view of the file with its columns."""
    # One statement: SQLAlchemy's inspector asks several a table, and all are asked at every start.
    rows = connection.execute(
        "select m.name, c.name from sqlite_master m, pragma_table_xinfo(m.name) c"
        " where m.type in ('table', 'view') -- insula"
    )
    found: dict[str, set[str]] = {}
    for table, column in rows.fetchall():
        found.setdefault(table, set()).add(column)
    return found


def missing_columns(present: Mapping[str, Collection[str]], tables: MetaData, path: Path) -> Iterator[str]:
    """Each table of the file that lacks declared columns, with what to do about it."""
    for table in tables.sorted_tables:
        columns = present.get(table.name)
        if columns is None:
            continue
        missing = [column.name for column in table.columns if column.name not in columns]
        if missing:
            yield (
                f"{path}: table {table.name} has no column {', '.join(missing)}; write a migration "
                "(Module(migrations=...)), or delete the file if its data does not matter"
            )
