"""The tables that a module declares, compared with those that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import MetaData

from insula.adapters.postgres.link import Link
from insula.adapters.postgres.migrate import LOCK
from insula.adapters.postgres.waiting import in_synchronous_code
from insula.kernel.errors import ConfigurationError

COLUMNS = (
    "select table_name::text, column_name::text from information_schema.columns where table_schema = current_schema()"
)


async def create_missing(link: Link, tables: MetaData, place: str) -> None:
    """Make the tables that are missing; refuse to guess how an existing one should change."""
    present = columns_of(await link.connection.fetch(COLUMNS))
    for fault in missing_columns(present, tables, place):
        raise ConfigurationError(fault)
    if any(table.name not in present for table in tables.sorted_tables):
        link.within = link.directly
        async with link.connection.transaction():
            await link.connection.execute(LOCK)  # another process may be making them; what it has made is seen then
            await in_synchronous_code(lambda: tables.create_all(link.sql))


def columns_of(rows: Collection[tuple[str, str]]) -> dict[str, set[str]]:
    """Every table and view of the database with its columns."""
    found: dict[str, set[str]] = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def missing_columns(present: Mapping[str, Collection[str]], tables: MetaData, place: str) -> Iterator[str]:
    """Each table of the database that lacks declared columns, with what to do about it."""
    for table in tables.sorted_tables:
        columns = present.get(table.name)
        if columns is None:
            continue
        missing = [column.name for column in table.columns if column.name not in columns]
        if missing:
            yield (
                f"{place}: table {table.name} has no column {', '.join(missing)}; write a migration "
                "(Module(migrations=...)), or drop the table if its data does not matter"
            )
