"""The columns in which the fields of a rule are looked for: those of a table, of a class that is mapped, or some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, FromClause, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.util import AliasedInsp

from insula.rules.errors import RuleError


def columns_of(given: Any) -> Mapping[str, ColumnElement[Any]]:
    """Field -> column. Raises `RuleError` for what has none."""
    if isinstance(given, Mapping):
        return {field: _expression(field, each) for field, each in given.items()}
    if isinstance(given, FromClause):
        return dict(given.c.items())
    mapped = inspect(given, raiseerr=False)
    if isinstance(mapped, Mapper | AliasedInsp):
        return {each.key: _expression(each.key, getattr(given, each.key)) for each in mapped.mapper.column_attrs}
    raise RuleError(
        f"to_sql({given!r:.60}): give a table, a class that is mapped to one, or a dict of field -> column; "
        "a select becomes a table by its subquery()"
    )


def _expression(field: Any, column: Any) -> ColumnElement[Any]:
    """A column itself, also where it is an attribute of a mapped class."""
    found = getattr(column, "expression", None)
    if not isinstance(found, ColumnElement):
        raise RuleError(f"to_sql: {field!r} stands for {column!r:.60}; give a column, such as orders.c.{field}")
    return found
