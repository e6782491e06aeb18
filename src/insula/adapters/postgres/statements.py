"""What user SQL may not do inside a unit of work. Pure.

The server refuses transaction control in procedures and anything about other modules; a statement that the driver
sends is a single one, so its first word tells what it is.
"""

from __future__ import annotations

import functools
import re

RESERVED_TABLES = "insula_"

_FIRST = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*([a-z]+)(?:\s+([a-z]+))?", re.IGNORECASE | re.DOTALL)
_TRANSACTION_CONTROL = frozenset(("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"))
_OF_THE_CONNECTION = frozenset(("reset", "discard", "listen", "unlisten", "load", "prepare", "deallocate"))
_SETTABLE = frozenset(("local", "constraints"))
_CHANGES_RESERVED = re.compile(
    r"\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate|drop\s+table|alter\s+table)\s+"
    r'(?:table\s+|only\s+|if\s+exists\s+)*(?:"?\w+"?\.)?"?(insula_\w+)',
    re.IGNORECASE,
)


@functools.lru_cache(4096)
def denied(sql: str) -> str | None:
    """Why a user's statement is not run; None when it may be."""
    found = _FIRST.match(sql)
    first = "" if found is None else found[1].lower()
    if first in _TRANSACTION_CONTROL:
        return "transaction control belongs to the unit of work; remove the statement"
    second = "" if found is None else (found[2] or "").lower()
    if first in _OF_THE_CONNECTION or (first == "set" and second not in _SETTABLE):
        return f"{first.upper()} would change the connection for the units after this one; remove it, or SET LOCAL"
    reserved = _CHANGES_RESERVED.search(sql) if RESERVED_TABLES in sql.lower() else None
    if reserved is not None:
        return f"table {reserved[1]} belongs to Insula; use publish and send"
    return None
