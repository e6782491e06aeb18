"""SQLite's errors in Insula's words."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError

from insula.kernel.errors import Failure, StorageFull, Unavailable
from insula.store.errors import TableMissing, ValueOutOfRange


class DatabaseCorrupt(Failure):
    """The file is damaged or not a SQLite database: restore it from a backup."""


class TransactionLost(Failure):
    """A statement ended the transaction that several units share; the unit that ran it fails alone."""


class StorageDefect(Failure):
    """SQLite reported an error that no retry of the same statement can mend."""


_FULL = frozenset((sqlite3.SQLITE_FULL,))
_CORRUPT = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_BUSY = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))
_UNAVAILABLE = frozenset(
    (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM)
)

_NO_TABLE = re.compile(r"no such table: (?:main\.)?(\S+)")


def table_missing(error: BaseException, place: str, owners: Mapping[str, str]) -> TableMissing | None:
    """What to say when SQLite knows no such table, None for other errors.

    Parameters: `owners`, table -> module, of the tables that other modules own.
    """
    if not isinstance(error, DBAPIError) or (found := _NO_TABLE.search(str(error.orig))) is None:
        return None
    table = found[1]
    owner = owners.get(table)
    advice = "declare it in the module's tables=, or make it in a migration"
    if owner is not None:
        advice = f"it belongs to module {owner}, in a file of its own: ask {owner} for it, or listen to its events"
    return TableMissing(f"{place}: no such table: {table}; {advice}")


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code of an error, also through SQLAlchemy's wrapper; 0 if it is none of SQLite's."""
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", 0)
    return (code if isinstance(code, int) else 0) & 0xFF


def machine_failure(error: BaseException, database: str) -> Failure | None:
    """The `Failure` that `error` stands for when the storage is at fault, or None when the statement is."""
    code = primary_code(error)
    if isinstance(error, OverflowError) and "SQLite" in str(error):
        # The client reads this: no place of the code in it. Whoever logs it names the handler.
        return ValueOutOfRange(f"a number does not fit into 64 bits; send one from {-(2**63)} to {2**63 - 1}")
    if not code:
        return None  # a handler's own error, whose text may not even be makeable
    reason = str(error.orig if isinstance(error, DBAPIError) else error)
    if code in _FULL:
        return StorageFull(f"{database}: the disk is full ({reason}); free space, nothing accepted is lost")
    if code in _CORRUPT:
        return DatabaseCorrupt(f"{database}: the file is damaged ({reason}); stop and restore it from a backup")
    if code in _BUSY:
        return Unavailable(f"{database}: another program holds a lock ({reason}); close it or wait", retry_after=1.0)
    if code in _UNAVAILABLE:
        return Unavailable(f"{database}: the file cannot be used ({reason}); check disk and permissions", retry_after=1)
    return None
