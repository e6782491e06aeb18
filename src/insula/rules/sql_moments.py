"""Columns of moments in SQL, compared as moments and not as the texts or local times that a database keeps.

SQLite keeps a datetime as text and drops its time zone; a column of PostgreSQL without one holds what it was given.
Which moments these are has to be told. As texts they are compared only once all of them are equally long.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import TIMESTAMP, ColumnElement, DateTime
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import DATETIME

from insula.rules.errors import RuleError

NAIVE = "holds datetimes without a time zone, and which moments they are depends on the place"
REMEDY = "to_sql(..., naive_is_utc=True) takes them for UTC"
_WHOLE = "0000-01-01 00:00:00.000000"


class Moment(FunctionElement[Any]):
    """A column of moments, of UTC where it has no time zone."""

    inherit_cache = True
    type = DateTime()


class ZonedMoment(Moment):
    """A column of moments with a time zone, for databases that keep it."""

    inherit_cache = True


def is_moment(kind: Any) -> bool:
    """Whether a column's type holds datetimes as SQLAlchemy writes them, in no form of its own."""
    return type(kind) in (DateTime, DATETIME, TIMESTAMP) or _is_of_postgresql(kind)


def _is_of_postgresql(kind: Any) -> bool:
    return isinstance(kind, TIMESTAMP) and type(kind).__module__.startswith("sqlalchemy.dialects.postgresql")


def moment(column: ColumnElement[Any], *, naive_is_utc: bool) -> Moment:
    """The column, to be compared."""
    return Moment(column) if naive_is_utc else ZonedMoment(column)


@compiles(Moment)
def _as_it_is(element: Moment, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(Moment, "sqlite")
def _as_text(element: Moment, compiler: Any, **options: Any) -> str:
    """Equally long, also where it was written without parts of a second, as by CURRENT_TIMESTAMP."""
    column = _as_it_is(element, compiler, **options)
    return f"substr(replace({column}, 'T', ' ') || substr('{_WHOLE}', length({column}) + 1), 1, {len(_WHOLE)})"


@compiles(ZonedMoment)
def _with_zone(element: ZonedMoment, compiler: Any, **options: Any) -> str:
    if compiler.dialect.name not in ("postgresql", "default"):
        column = _as_it_is(element, compiler, **options)
        raise RuleError(f"to_sql: in {compiler.dialect.name} {column} {NAIVE}; {REMEDY}")
    return _as_it_is(element, compiler, **options)
