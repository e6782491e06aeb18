"""As a filter of SQL a rule about moments finds the rows for which it is true, with and without time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    DateTime,
    Dialect,
    Integer,
    Interval,
    MetaData,
    Table,
    TypeDecorator,
    delete,
    insert,
    select,
    text,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.postgresql import TIMESTAMP

from insula.rules import RuleError, Specification, fields
from insula.rules.tree import Binary, Call, ListOf, Literal, Name, Node
from rules.filtering import holds, joined


class Hours(TypeDecorator[datetime]):
    """Keeps a datetime in its own way."""

    impl = BigInteger
    cache_ok = True


rows = Table(
    "moments", MetaData(),
    Column("id", Integer, primary_key=True),
    Column("zoned", DateTime(timezone=True)), Column("other_zoned", DateTime(timezone=True)),
    Column("exact", DateTime(timezone=True).with_variant(TIMESTAMP(timezone=True, precision=6), "postgresql")),
    Column("naive", DateTime), Column("other_naive", DateTime),
)  # fmt: skip
unlike = Table(
    "unlike_moments", MetaData(),
    Column("naive", DateTime), Column("zoned", DateTime(timezone=True)), Column("day", Date),
    Column("took", Interval), Column("hours", Hours), Column("short", sqlite.DATETIME(truncate_microseconds=True)),
    Column("rounded", TIMESTAMP(timezone=True, precision=0)),
)  # fmt: skip

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
steps = some.sampled_from([0, 1, -1, 500_000, -500_000, 10**6, 3600 * 10**6, -86_400 * 10**6])
zones = some.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=5, minutes=30))])
moments = steps.map(lambda step: NOON + timedelta(microseconds=step)) | some.sampled_from(
    [datetime(1, 1, 2, tzinfo=UTC), datetime(999, 12, 31, 23, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)]
)
naive_moments = moments.map(lambda moment: moment.replace(tzinfo=None))
written = some.builds(lambda moment, zone: moment.astimezone(zone).isoformat(), moments, zones)
constants = some.builds(Call, some.just("timestamp"), some.builds(Literal, written).map(lambda each: (each,)))
any_order = some.sampled_from(["==", "!=", "<", "<=", ">", ">="])
zoned, naive = ["zoned", "other_zoned", "exact"], ["naive", "other_naive"]


def atoms(names: list[str]) -> some.SearchStrategy[Node]:
    columns, alike = some.sampled_from(names).map(Name), (zoned, naive)
    null = some.just(Literal(None))
    between = [
        some.builds(Binary, any_order, some.sampled_from(each).map(Name), some.sampled_from(each).map(Name))
        for each in alike if set(each) <= set(names)
    ]  # fmt: skip
    lists = some.lists(constants | null, max_size=3).map(lambda each: ListOf(tuple(each)))
    return some.one_of(
        some.builds(Binary, any_order, columns, constants),
        some.builds(Binary, any_order, constants, columns),
        some.builds(Binary, some.sampled_from(["==", "!="]), columns, null),
        some.builds(Binary, some.just("in"), columns, lists),
        *between,
    )


def conditions(names: list[str]) -> some.SearchStrategy[Node]:
    return some.recursive(atoms(names), joined, max_leaves=5)


@pytest.fixture(scope="module")
def database(each_database: Connection) -> Connection:
    """One with the table."""
    rows.metadata.create_all(each_database)
    return each_database


def in_utc(row: dict[str, Any]) -> dict[str, Any]:
    """What has no time zone is taken for UTC."""
    return {
        name: each.replace(tzinfo=UTC) if isinstance(each, datetime) and each.tzinfo is None else each
        for name, each in row.items()
    }


def kept_and_found(database: Connection, filtering: Any, content: list[dict[str, Any]]) -> tuple[list[Any], set[int]]:
    with database.begin_nested():
        database.execute(delete(rows))
        database.execute(insert(rows), [{"id": number, **row} for number, row in enumerate(content)])
        kept = database.execute(select(rows)).mappings().all()
        return [dict(row) for row in kept], set(database.execute(select(rows.c.id).where(filtering)).scalars())


contents = some.lists(
    some.fixed_dictionaries(
        dict.fromkeys(zoned, some.none() | moments) | dict.fromkeys(naive, some.none() | naive_moments)
    ),
    min_size=1, max_size=4,
)  # fmt: skip
thoroughly = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)


@thoroughly
@given(tree=conditions([*zoned, *naive]), content=contents)
def test_what_has_no_zone_is_compared_as_utc_where_that_is_told(
    database: Connection, tree: Node, content: list[dict[str, Any]]
) -> None:
    specification: Specification[Any] = Specification(tree)
    kept, found = kept_and_found(database, specification.to_sql(rows, naive_is_utc=True), content)
    assert found == {row["id"] for row in kept if holds(specification, in_utc(row))}


@thoroughly
@given(tree=conditions(zoned), content=contents)
def test_what_has_a_zone_is_compared_as_the_rule_does_it(
    database: Connection, tree: Node, content: list[dict[str, Any]]
) -> None:
    specification: Specification[Any] = Specification(tree)
    if database.dialect.name == "sqlite":
        with pytest.raises(RuleError, match=r"in sqlite .* holds datetimes without a time zone"):
            specification.to_sql(rows).compile(dialect=database.dialect)
        return
    kept, found = kept_and_found(database, specification.to_sql(rows), content)
    assert found == {row["id"] for row in kept if holds(specification, row)}


@pytest.mark.parametrize("each_database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("zone", ["Europe/Vienna", "America/New_York", "UTC"])
def test_the_zone_of_a_session_makes_no_difference(database: Connection, zone: str) -> None:
    rule: Specification[Any] = Specification.parse("naive == timestamp('2030-01-01T12:00:00Z') && zoned == other_zoned")
    content = {"naive": NOON.replace(tzinfo=None), "zoned": NOON, "other_zoned": NOON}
    with database.begin_nested() as savepoint:
        database.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
        kept, found = kept_and_found(database, rule.to_sql(rows, naive_is_utc=True), [content])
        savepoint.rollback()
    assert found == {0}
    assert holds(rule, in_utc(kept[0])) is True


@pytest.mark.parametrize("each_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("column", ["naive", "zoned"])
@pytest.mark.parametrize(
    "kept",
    [
        "2030-01-01 12:00:00", "2030-01-01 12:00:00.5", "2030-01-01 12:00:00.500", "2030-01-01 12:00:00.500000",
        "2030-01-01T12:00:00", "2030-01-01 12:00", "2030-01-01",
    ],
)  # fmt: skip
def test_sqlite_compares_what_others_have_written_too(database: Connection, column: str, kept: str) -> None:
    """As CURRENT_TIMESTAMP does it, which leaves out parts of a second."""
    database.execute(delete(rows))
    database.execute(text(f"INSERT INTO moments (id, {column}) VALUES (1, '{kept}')"))
    (row,) = database.execute(select(rows)).mappings().all()
    for moment in ("2030-01-01T00:00:00Z", "2030-01-01T12:00:00Z", "2030-01-01T12:00:00.5Z"):
        for operator in ("==", "!=", "<", "<=", ">", ">="):
            rule: Specification[Any] = Specification.parse(f"{column} {operator} timestamp('{moment}')")
            found = database.execute(select(rows.c.id).where(rule.to_sql(rows, naive_is_utc=True))).scalars().all()
            assert bool(found) is rule(in_utc(dict(row))), str(rule)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("zoned == 'x'", 'a moment is compared with one such as timestamp\\("2030-01-31T12:00:00Z"\\)'),
        ("zoned > 5", "a moment is compared with one such as"),
        ("zoned > timestamp('2030-01-01T00:00:00.000000001Z')", "no column holds parts of a microsecond"),
        ("zoned > timestamp('tomorrow')", 'to_sql: zoned > timestamp\\("tomorrow"\\): timestamp.*: write it like'),
        ("zoned > timestamp(5)", "a moment is written as timestamp\\("),
        ("zoned == naive", "columns of .* are not compared as CEL does it"),
        ("zoned == day", "columns of .* are not compared as CEL does it"),
        ("day == timestamp('2030-01-01T00:00:00Z')", "is not compared with Timestamp as CEL does it"),
        ("took > duration('1h')", "databases keep lengths of time in different ways; compare moments"),
        ("hours > timestamp('2030-01-01T00:00:00Z')", "is not compared with Timestamp as CEL does it"),
        ("short > timestamp('2030-01-01T00:00:00Z')", "is not compared with Timestamp as CEL does it"),
        ("zoned.getHours() > 5", "only fields, values and comparisons of them become SQL"),
        ("zoned - naive > duration('1h')", "only fields, values and comparisons of them become SQL"),
        ("zoned", "it is no condition"),
        ("timestamp('2030-01-01T00:00:00Z') == null", "it compares two values and no column"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(rule: str, told: str) -> None:
    with pytest.raises(RuleError, match=told):
        Specification.parse(rule).to_sql(unlike, naive_is_utc=True)


@pytest.mark.parametrize(
    "rule",
    [
        "naive > timestamp('2030-01-01T00:00:00Z')",
        "naive == null",
        "naive in [null]",
        "naive == naive",
    ],
)
def test_a_column_without_a_zone_is_refused_as_the_rule_refuses_what_is_in_it(rule: str) -> None:
    specification: Specification[Any] = Specification.parse(rule)
    with pytest.raises(RuleError, match=r"which moments they are depends on the place; to_sql\(..., naive_is_utc=True"):
        specification.to_sql(unlike)
    with pytest.raises(RuleError, match="has no time zone: which moment it is depends on the place"):
        specification({"naive": datetime(2030, 1, 1)})  # noqa: DTZ001


@pytest.mark.parametrize(
    ("dialect", "is_taken"), [(postgresql.dialect(), True), (sqlite.dialect(), False), (mysql.dialect(), False)]
)  # fmt: skip
def test_a_database_that_drops_time_zones_refuses_a_column_with_one(dialect: Dialect, is_taken: bool) -> None:
    condition = Specification.parse("zoned > timestamp('2030-01-01T00:00:00Z')").to_sql(unlike)
    assert "unlike_moments.zoned > " in str(condition)
    if is_taken:
        assert "unlike_moments.zoned > " in str(condition.compile(dialect=dialect))
        return
    with pytest.raises(RuleError, match=rf"in {dialect.name} unlike_moments.zoned holds .* naive_is_utc=True"):
        condition.compile(dialect=dialect)


def test_a_rounded_column_is_compared_with_a_moment_that_is_not_rounded() -> None:
    condition = Specification.parse("rounded > timestamp('2030-01-01T00:00:00.5Z')").to_sql(unlike)
    assert "TIMESTAMP(0)" not in str(condition.compile(dialect=postgresql.dialect()))


def test_fields_are_compared_with_the_moments_of_python(database: Connection) -> None:
    class Order:
        zoned: datetime

    order = fields(Order)
    rule = (order.zoned >= NOON) & order.zoned.is_in([NOON, NOON + timedelta(hours=1)])
    content = [{"zoned": NOON + timedelta(hours=hours)} for hours in (-1, 0, 1, 2)]
    assert kept_and_found(database, rule.to_sql(rows, naive_is_utc=True), content)[1] == {1, 2}
