"""Rows on their way from one database to another, through SQLAlchemy's types. Synchronous: adapters say where."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from sqlalchemy import JSON, Column, Integer, MetaData, Table, delete, func, null, select, tuple_
from sqlalchemy import Connection as SqlConnection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from insula.kernel.errors import ConfigurationError, Failure
from insula.store.canonical import Checksum, NotComparable, digest_of

ROWS_IN_A_CHUNK = 2000
_ROWS_IN_A_STATEMENT = 250
CHANGED = "insula_changed_"
_LONGEST_NAME = 63

# How the driver of PostgreSQL words it.
_ARGUMENT = re.compile(r"invalid input for query argument \$(\d+)")

Row = dict[str, Any]
Key = tuple[Any, ...]


class DoesNotFit(Failure):
    """The columns of the target cannot hold what the source has."""


@dataclass(frozen=True, slots=True)
class MovedTable:
    """One table on its way.

    Parameters: `table`, with the types that both databases know; `key`, the names of the columns that tell rows apart;
    `changes`, in which the keys of changed rows are noted.
    """

    table: Table
    key: tuple[str, ...]
    changes: Table

    @classmethod
    def of(cls, table: Table, key: Sequence[str]) -> MovedTable:
        """Raises ConfigurationError for a table without a key."""
        if not key:
            raise ConfigurationError(
                f"table {table.name} has no primary key, so its rows cannot be told apart while they change; give it "
                "one first, in a migration"
            )
        columns = [Column(f"k{number}", table.c[name].type) for number, name in enumerate(key)]
        name = changes_of(table.name)
        return cls(table, tuple(key), Table(name, MetaData(), Column("sequence", Integer, primary_key=True), *columns))

    @property
    def name(self) -> str:
        """The table's."""
        return self.table.name

    @property
    def key_columns(self) -> list[Column[Any]]:
        """The columns of the key."""
        return [self.table.c[name] for name in self.key]

    @property
    def change_columns(self) -> list[Column[Any]]:
        """The same in the table of changes."""
        return [column for column in self.changes.c if column.name != "sequence"]

    def key_of(self, row: Row) -> Key:
        """A row's key."""
        return tuple(row[name] for name in self.key)


def changes_of(table: str) -> str:
    """The name of the table that notes which rows of `table` have changed; PostgreSQL cuts longer names."""
    name = f"{CHANGED}{table}"
    if len(name) <= _LONGEST_NAME:
        return name
    short = hashlib.sha256(table.encode()).hexdigest()[:12]
    return f"{CHANGED}{table[: _LONGEST_NAME - len(CHANGED) - 13]}_{short}"


def last_key(connection: SqlConnection, moved: MovedTable) -> Key | None:
    """The greatest key, as this database orders them; None where there are no rows."""
    key = moved.key_columns
    found = connection.execute(select(*key).order_by(*(column.desc() for column in key)).limit(1)).first()
    return None if found is None else tuple(found)


def chunk_after(connection: SqlConnection, moved: MovedTable, after: Key | None, last: Key | None = None) -> list[Row]:
    """The next rows in the order of their keys, as this database orders them; none behind `last`."""
    key = moved.key_columns
    statement = select(*moved.table.c).order_by(*key).limit(ROWS_IN_A_CHUNK)
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*after) if len(key) > 1 else key[0] > after[0])
    if last is not None:
        statement = statement.where(tuple_(*key) <= tuple_(*last) if len(key) > 1 else key[0] <= last[0])
    return [_read(moved.table, row) for row in connection.execute(statement)]


def rows_of(connection: SqlConnection, moved: MovedTable, keys: Sequence[Key]) -> list[Row]:
    """The rows with these keys, as far as they are there."""
    found: list[Row] = []
    for some in in_chunks(keys):
        found += [
            _read(moved.table, row) for row in connection.execute(select(*moved.table.c).where(_among(moved, some)))
        ]
    return found


def remove(connection: SqlConnection, moved: MovedTable, keys: Sequence[Key]) -> None:
    """Delete the rows with these keys."""
    for some in in_chunks(keys):
        connection.execute(delete(moved.table).where(_among(moved, some)))


def insert(connection: SqlConnection, moved: MovedTable, rows: Sequence[Row]) -> None:
    """Insert rows as they are. Raises `DoesNotFit` for what the columns cannot hold."""
    for some in in_chunks(rows):
        try:
            connection.execute(moved.table.insert(), [_written(moved.table, row) for row in some])
        except (DBAPIError, StatementError) as error:
            raise _unfitting(moved, error) or error from error


def _unfitting(moved: MovedTable, error: StatementError) -> DoesNotFit | None:
    """What to say when a value is at fault: without the value, for it is customers' data and ends up in a log."""
    argument = _ARGUMENT.search(str(error.orig))
    if argument is None and not isinstance(error, (DataError, IntegrityError)):
        return None
    written = [column.name for column in moved.table.c if column.computed is None]
    where = f"column {written[int(argument[1]) - 1]}" if argument is not None else "a row"
    return DoesNotFit(
        f"table {moved.name}: the target cannot take {where} as it is in the source ({type(error.orig).__name__}); "
        "correct the data, or the type of the column"
    )


def changed_keys(connection: SqlConnection, moved: MovedTable) -> tuple[list[int], list[Key]]:
    """The keys of rows that have changed, each once, and the numbers of the notes that say so."""
    notes, keys = [], dict[Key, None]()
    for number, *key in connection.execute(select(moved.changes.c.sequence, *moved.change_columns)):
        notes.append(number)
        keys[tuple(_with_zone(column, value) for column, value in zip(moved.key_columns, key, strict=True))] = None
    return notes, list(keys)


def count(connection: SqlConnection, moved: MovedTable) -> int:
    """How many rows there are."""
    return int(connection.execute(select(func.count()).select_from(moved.table)).scalar_one())


def checksum(connection: SqlConnection, moved: MovedTable) -> Checksum:
    """Of every row."""
    found, after = Checksum(), None
    while rows := chunk_after(connection, moved, after):
        after = moved.key_of(rows[-1])
        with _named(moved):
            found = found.plus(row.values() for row in rows)
    return found


def differing(moved: MovedTable, left: Sequence[Row], right: Sequence[Row]) -> list[Key]:
    """The keys of rows that are on one side only, or not alike."""
    with _named(moved):
        sides = [{digest_of(moved.key_of(row)): digest_of(row.values()) for row in rows} for rows in (left, right)]
        keys = {digest_of(moved.key_of(row)): moved.key_of(row) for row in (*left, *right)}
    return [key for digest, key in keys.items() if sides[0].get(digest) != sides[1].get(digest)]


@contextmanager
def _named(moved: MovedTable) -> Iterator[None]:
    """Tells of which table a value cannot be compared."""
    try:
        yield
    except NotComparable as error:
        raise NotComparable(f"table {moved.name}: {error}") from error


def in_chunks(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Some at a time."""
    for first in range(0, len(things), _ROWS_IN_A_STATEMENT):
        yield things[first : first + _ROWS_IN_A_STATEMENT]


def _among(moved: MovedTable, keys: Sequence[Key]) -> Any:
    columns = moved.key_columns
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return tuple_(*columns).in_(keys)


def _read(table: Table, row: Any) -> Row:
    return {column.name: _with_zone(column, value) for column, value in zip(table.c, row, strict=True)}


def _with_zone(column: Column[Any], value: Any) -> Any:
    """SQLite forgets the zone of a moment, and Insula's are in UTC."""
    if isinstance(value, (datetime, time)) and getattr(column.type, "timezone", False) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value


def _written(table: Table, row: Row) -> Row:
    """Without what the database computes by itself; None is what SQL calls NULL, also where JSON has a null."""
    return {
        column.key: null() if row[column.name] is None and isinstance(column.type, JSON) and column.nullable
        else row[column.name]
        for column in table.c
        if column.computed is None
    }  # fmt: skip
