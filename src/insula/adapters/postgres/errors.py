"""PostgreSQL's errors in Insula's words."""

from __future__ import annotations

import re
from collections.abc import Mapping

import asyncpg
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException

from insula.kernel.errors import Failure, StorageFull, Unavailable
from insula.store.errors import DatabaseUnavailable, LeaseTaken, TableMissing, ValueOutOfRange

_CONFLICTS = frozenset(("40001", "40P01"))
_DENIED = "42501"
_NO_TABLE = "42P01"
_READ_ONLY = "25006"
_LOCKED = "55P03"
_TOO_LONG = "57014"
_IDLE_TOO_LONG = "25P03"
_FULL = frozenset(("53100",))
_OUT_OF_RANGE = frozenset(("22003", "22021", "22P05"))
# Shut down, crashed, not yet there, too many connections, an I/O error of the server's.
_GONE = frozenset(("57P01", "57P02", "57P03", "57P05", "53300", "58030"))
_LEASE_TAKEN = "IN001"
MOVED = "IN002"
"""How a database that is out of use refuses whoever would write."""
_REFUSED = frozenset(("28P01", "28000"))

_NO_SUCH = re.compile(r'relation "(?:\w+\.)?([^"]+)" does not exist')
_NO_RIGHT = re.compile(r"permission denied for (?:table|schema|sequence|relation) (\S+)")
_DOES_NOT_FIT = re.compile(r"out of (?:int16|int32|int64) range|embedded NUL|null byte", re.IGNORECASE)


def original(error: BaseException) -> BaseException:
    """The driver's own error under SQLAlchemy's wrappers."""
    while isinstance(error, (DBAPIError, EmulatedDBAPIException)) and isinstance(error.orig, BaseException):
        error = error.orig
    return error


def state_of(error: BaseException) -> str:
    """The SQLSTATE of an error; empty if it is none of PostgreSQL's."""
    state = getattr(original(error), "sqlstate", None)
    return state if isinstance(state, str) else ""


def is_the_databases(error: BaseException) -> bool:
    """Whether an error that came out of a handler is SQLAlchemy's or the driver's."""
    return isinstance(error, (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError))


def is_conflict(error: BaseException) -> bool:
    """Whether the same unit may get through when it runs again."""
    return state_of(error) in _CONFLICTS or isinstance(original(error), asyncpg.InvalidCachedStatementError)


def is_moved(error: BaseException) -> bool:
    """Whether the module's data lies elsewhere by now."""
    return state_of(error) == MOVED


def is_read_only(error: BaseException) -> bool:
    """Whether a query tried to write."""
    return state_of(error) == _READ_ONLY


def is_refused(error: BaseException) -> bool:
    """Whether the server does not know these credentials."""
    return state_of(error) in _REFUSED


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, or was never made."""
    cause, state = original(error), state_of(error)
    # The last one is how the driver calls a connection that broke in the middle of an answer.
    if isinstance(cause, (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InternalClientError)):
        return True
    if isinstance(cause, asyncpg.InterfaceError) and not isinstance(cause, asyncpg.DataError):
        return "closed" in str(cause) or "released" in str(cause)
    return state in _GONE or state == _IDLE_TOO_LONG or state.startswith("08")


def failure_of(error: BaseException, place: str) -> Failure | None:
    """The `Failure` that `error` stands for when server or value are at fault, or None when the statement is."""
    cause, state = original(error), state_of(error)
    # The driver appends DETAIL and HINT as further lines.
    reason = " ".join(str(cause).split()) or type(cause).__name__
    if state == _IDLE_TOO_LONG:
        return Failure(f"{place}: it left its transaction idle for too long and was stopped ({reason})")
    if is_lost(error):
        return DatabaseUnavailable(
            f"{place}: the database does not answer ({reason}); it is tried again", retry_after=1.0
        )
    if is_refused(error):
        return DatabaseUnavailable(f"{place}: the database refuses the credentials ({reason})", retry_after=1.0)
    if state == _LEASE_TAKEN:
        return LeaseTaken(f"{place}: {reason}; nothing of it is stored, it is that one's work now")
    if state in _FULL:
        return StorageFull(f"{place}: the database's disk is full ({reason}); free space, nothing accepted is lost")
    if state == _LOCKED:
        return Unavailable(
            f"{place}: somebody else holds a lock ({reason}); wait, or end their transaction", retry_after=1
        )
    if state == _TOO_LONG:
        return Failure(f"{place}: a statement took too long and was stopped ({reason}); add an index")
    if is_conflict(error):
        return Unavailable(f"{place}: others changed the same rows at the same time ({reason})", retry_after=0.1)
    if state in _OUT_OF_RANGE or (isinstance(cause, asyncpg.DataError) and _DOES_NOT_FIT.search(reason)):
        # The client reads this: no place of the code in it. Whoever logs it names the handler.
        return ValueOutOfRange(f"a value does not fit: {_fitting(reason)}")
    return None


def _fitting(reason: str) -> str:
    if "int64" in reason or "bigint" in reason:
        return f"a number has at most 64 bits; send one from {-(2**63)} to {2**63 - 1}"
    if "int" in reason:
        return f"a number has at most 32 bits in this column; send one from {-(2**31)} to {2**31 - 1}"
    return "text has no NUL character"


def table_missing(error: BaseException, place: str, owners: Mapping[str, str]) -> TableMissing | None:
    """What to say when the module has no such table, or no right to it; None for other errors.

    Parameters: `owners`, table -> module, of the tables that other modules own.
    """
    state, cause = state_of(error), original(error)
    found = _NO_SUCH.search(str(cause)) if state == _NO_TABLE else None
    if state == _DENIED:
        found = _NO_RIGHT.search(str(cause))
    if found is None:
        return None
    table = found[1]
    owner = owners.get(table)
    if owner is not None:
        return TableMissing(
            f"{place}: no such table: {table}; it belongs to module {owner}, in a database of its own: ask {owner} "
            "for it, or listen to its events"
        )
    if state == _DENIED:
        return TableMissing(f"{place}: the module's role has no right to {table}; it is not the module's own")
    return TableMissing(
        f"{place}: no such table: {table}; declare it in the module's tables=, or make it in a migration"
    )
