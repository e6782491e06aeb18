"""Which tables go with a module, and whether both databases have them alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import MetaData, Table

from insula.kernel.errors import ConfigurationError
from insula.store.framework_tables import FRAMEWORK_TABLES
from insula.store.moved_rows import MovedTable

_NOT_THE_MODULES = ("insula_", "sqlite_")


@dataclass(frozen=True, slots=True)
class Described:
    """The tables of one database: columns, key, and as SQLAlchemy reads them from there."""

    columns: Mapping[str, frozenset[str]]
    keys: Mapping[str, Sequence[str]]
    tables: Mapping[str, Table]
    exact: bool


def described(connection: SqlConnection) -> Described:
    """Look at a database."""
    found = MetaData()
    found.reflect(connection, only=lambda name, _: not name.startswith(_NOT_THE_MODULES), resolve_fks=False)
    return Described(
        {name: frozenset(column.name for column in table.c) for name, table in found.tables.items()},
        {name: [column.name for column in table.primary_key.columns] for name, table in found.tables.items()},
        found.tables,
        connection.dialect.name != "sqlite",  # where a column may hold anything, its type says little
    )


def require_keys(source: Described) -> None:
    """Raise ConfigurationError when rows of a table cannot be told apart."""
    for name, table in source.tables.items():
        MovedTable.of(table, source.keys[name])


def moved_tables(source: Described, target: Described, declared: MetaData) -> list[MovedTable]:
    """Insula's tables and the module's own. Raises ConfigurationError for what the target does not have alike."""
    reflected = source.tables if source.exact else target.tables
    moved = list(FRAMEWORK_TABLES)
    for name in sorted(source.columns):
        if name not in target.columns:
            raise ConfigurationError(
                f"table {name} would be lost: neither tables= nor the migrations of the module make it in the target"
            )
        table = declared.tables.get(name, reflected[name])
        there = [source.columns[name], target.columns[name], frozenset(column.name for column in table.c)]
        if different := frozenset.union(*there) - frozenset.intersection(*there):
            raise ConfigurationError(
                f"table {name}: column {', '.join(sorted(different))} is not in source, target and declaration alike; "
                "apply the same migrations to both"
            )
        moved.append(MovedTable.of(table, source.keys[name]))
    return moved
