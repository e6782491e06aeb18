"""As a filter of SQL a rule finds the rows for which it is true, and no others."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import (
    CHAR,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Float,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    delete,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

from insula.rules import RuleError, Specification
from insula.rules.tree import Binary, Call, ListOf, Literal, Name, Node
from rules.filtering import holds, joined

rows = Table(
    "rows", MetaData(),
    Column("id", Integer, primary_key=True),
    Column("text", String), Column("other_text", String),
    Column("count", BigInteger), Column("other_count", BigInteger),
    Column("size_", Float), Column("other_size", Float), Column("paid", Boolean),
    Column("day", Date), Column("other_day", Date), Column("price", Numeric),
)  # fmt: skip
unlike = Table(
    "unlike", MetaData(),
    Column("code", CHAR(5)), Column("nick", String(collation="C")), Column("mail", CITEXT),
    Column("ratio", REAL), Column("share", Float(24)),
)  # fmt: skip

texts = some.sampled_from(["", "a", "A", "ab", "abc", "%", "_", "a%", "ä", "'", "null"])
counts = some.integers(-2, 2) | some.sampled_from([2**53 + 1, -(2**62), 2**62])
sizes = some.sampled_from([-1.5, 0.0, -0.0, 1.0, 2.0, 1e300, math.inf, -math.inf, math.nan])
days = some.sampled_from([date(2029, 12, 31), date(2030, 1, 1), date(2030, 1, 2)])
maybe: dict[str, some.SearchStrategy[Any]] = {
    "text": texts, "other_text": texts, "count": counts, "other_count": counts, "size_": sizes, "other_size": sizes,
    "paid": some.booleans(), "day": days, "other_day": days,
}  # fmt: skip
contents = some.lists(
    some.fixed_dictionaries({name: some.none() | values for name, values in maybe.items()}), min_size=1, max_size=4
)

equality = some.sampled_from(["==", "!="])
any_order = some.sampled_from(["==", "!=", "<", "<=", ">", ">="])
numbers = some.builds(Literal, some.integers(-2, 2) | some.sampled_from([-1.5, 0.0, 1.0, 2.0, 4e15]))
measures = some.sampled_from(["count", "size_"]).map(Name) | some.just(Call("size", (Name("text"),)))
nothing = some.just(Literal(None))


def _list(values: some.SearchStrategy[Any]) -> some.SearchStrategy[Node]:
    return some.lists(some.builds(Literal, values), max_size=3).map(lambda each: ListOf(tuple(each)))


atoms = some.one_of(
    some.builds(Binary, equality, some.just(Name("text")), some.builds(Literal, texts) | nothing),
    some.builds(Binary, equality, some.just(Name("text")), some.just(Name("other_text"))),
    some.builds(Binary, equality, some.builds(Literal, texts), some.just(Name("text"))),
    some.builds(Binary, any_order, measures, numbers),
    some.builds(Binary, any_order, numbers, measures),
    some.builds(Binary, equality, some.sampled_from(["count", "size_", "day", "paid"]).map(Name), nothing),
    some.builds(Binary, any_order, some.just(Name("count")), some.just(Name("other_count"))),
    some.builds(Binary, any_order, some.just(Name("size_")), some.just(Name("other_size"))),
    some.builds(Binary, any_order, some.just(Name("day")), some.just(Name("other_day"))),
    some.builds(Binary, any_order, some.builds(Literal, days.map(date.isoformat)), some.just(Name("day"))),
    some.builds(Binary, equality, some.just(Name("paid")), some.builds(Literal, some.booleans())),
    some.builds(Binary, equality, some.just(Name("day")), some.builds(Literal, days.map(date.isoformat))),
    some.builds(Binary, some.just("in"), some.just(Name("text")), _list(texts | some.none())),
    some.builds(Binary, some.just("in"), some.just(Name("count")), _list(some.integers(-2, 2) | some.none())),
    some.builds(Binary, some.just("in"), some.just(Name("size_")), _list(some.sampled_from([0.0, 1.0, 2.0, 2]))),
    some.builds(Binary, some.just("in"), some.just(Call("size", (Name("text"),))), _list(some.integers(-2, 2))),
    some.builds(
        Call, some.sampled_from(["startsWith", "endsWith", "contains"]), some.tuples(some.builds(Literal, texts)),
        some.just(Name("text")),
    ),
    some.just(Name("paid")),
    some.builds(Literal, some.booleans()),
)  # fmt: skip
conditions = some.recursive(atoms, joined, max_leaves=6)


@pytest.fixture(scope="module")
def database(each_database: Connection) -> Connection:
    """One with the table."""
    rows.metadata.create_all(each_database)
    return each_database


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(tree=conditions, content=contents)
def test_the_filter_finds_the_rows_for_which_the_rule_is_true(
    database: Connection, tree: Node, content: list[dict[str, Any]]
) -> None:
    specification: Specification[Any] = Specification(tree)
    with database.begin_nested():
        database.execute(delete(rows))
        database.execute(insert(rows), [{"id": number, **row} for number, row in enumerate(content)])
        kept = database.execute(select(rows)).mappings().all()
        found = database.execute(select(rows.c.id).where(specification.to_sql(rows))).scalars().all()
    assert set(found) == {row["id"] for row in kept if holds(specification, dict(row))}


@pytest.mark.parametrize("size", [None, -math.inf, 0.0, math.inf, math.nan])
@pytest.mark.parametrize("other_size", [None, 0.0, math.nan])
@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_numbers_that_are_none_are_compared_as_the_rule_does_it(
    database: Connection, operator: str, size: float | None, other_size: float | None
) -> None:
    texts = [f"size_ {operator} other_size", f"size_ {operator} 0.0"]
    for text in [*texts, *(f"!({each})" for each in texts)]:
        specification: Specification[Any] = Specification.parse(text)
        database.execute(delete(rows))
        database.execute(insert(rows), {"id": 1, "size_": size, "other_size": other_size})
        (row,) = database.execute(select(rows)).mappings().all()
        found = database.execute(select(rows.c.id).where(specification.to_sql(rows))).scalars().all()
        assert bool(found) is holds(specification, dict(row)), text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("text < 'a'", 'to_sql: text < "a": how texts are ordered depends on the database'),
        ("count + 1 > 2", "to_sql: count \\+ 1: only fields, values and comparisons of them become SQL"),
        ("count == '1'", "is not compared with str as CEL does it"),
        ("text == 1", "is not compared with int as CEL does it"),
        ("price == 1.0", "is not compared with float as CEL does it"),
        ("count == 9007199254740993", "is not compared with int"),
        ("count == size_", "columns of .* are not compared as CEL does it"),
        ("count", "it is no condition"),
        ("text.matches('a')", "matches\\(\\) has no counterpart that answers alike everywhere"),
        ("text.contains(other_text)", "what is looked for has to be a text in the rule"),
        ("day == '2030'", "a date is compared with one such as"),
        ("1 == 1", "it compares two values and no column"),
        ("nothing == 1", "there is no column for nothing; there are id, text"),
        ("text in other_text", "only a list of values becomes SQL"),
        ("[1].all(x, x == 1)", "all\\(\\) has no counterpart"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(RuleError, match=told):
        Specification.parse(text).to_sql(rows)


def test_fields_of_fields_find_their_column_by_name_or_as_they_are_told() -> None:
    flat = Table("flat", MetaData(), Column("total_amount", Integer))
    rule = Specification.parse("total.amount > 5")
    assert "flat.total_amount > " in str(rule.to_sql(flat))
    assert "rows.count > " in str(rule.to_sql({"total.amount": rows.c.count}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("code == 'a'", 'to_sql: code == "a": a column of CHAR\\(length=5\\) is not compared with str as CEL does it'),
        ("size(code) == 1", "only a text has a length"),
        ("code.startsWith('a')", "the column holds no texts"),
        ("nick == 'a'", "is not compared with str"),
        ("mail == 'a'", "is not compared with str"),
        ("nick == mail", "are not compared as CEL does it"),
        ("ratio == 0.1", "is not compared with float"),
        ("share > 0.1", "is not compared with float"),
        ("ratio == share", "are not compared as CEL does it"),
    ],
)
def test_columns_that_databases_compare_in_their_own_way_are_refused(text: str, told: str) -> None:
    with pytest.raises(RuleError, match=told):
        Specification.parse(text).to_sql(unlike)


@pytest.mark.parametrize("text", ["text == '\\u0000'", "text.contains('a\\u0000')", "text in ['\\u0000']"])
def test_a_text_that_not_every_database_can_hold_is_refused(text: str) -> None:
    with pytest.raises(RuleError, match="not every database holds a text with NUL"):
        Specification.parse(text).to_sql(rows)


class Base(DeclarativeBase):
    """What is mapped."""


class Sale(Base):
    """A class that is mapped, one of its columns under another name."""

    __tablename__ = "sales"
    id: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[int] = mapped_column("total_of_cents")
    rate: Mapped[float]


def test_a_class_that_is_mapped_stands_for_its_table() -> None:
    rule: Specification[Any] = Specification.parse("total > 5")
    assert "sales.total_of_cents > " in str(rule.to_sql(Sale))
    assert "sales_1.total_of_cents > " in str(select(rule.to_sql(aliased(Sale))))
    assert "cheap.total_of_cents > " in str(select(rule.to_sql(aliased(Sale, select(Sale).subquery("cheap")))))
    assert "cheap.total_of_cents > " in str(rule.to_sql({"total": select(Sale).subquery("cheap").c.total_of_cents}))
    with pytest.raises(RuleError, match="there is no column for totl; there are id, total, rate"):
        Specification.parse("totl > 5").to_sql(Sale)


def test_an_attribute_of_a_mapped_class_is_compared_as_its_column_is() -> None:
    for operator in ("==", "!=", "<", ">"):
        rule: Specification[Any] = Specification.parse(f"rate {operator} other")
        by_attribute = rule.to_sql({"rate": Sale.rate, "other": Sale.rate})
        by_column = rule.to_sql({"rate": Sale.__table__.c.rate, "other": Sale.__table__.c.rate})
        assert str(by_attribute) == str(by_column)


def test_what_has_no_columns_is_refused_with_what_to_give() -> None:
    rule: Specification[Any] = Specification.parse("total > 5")
    nothing: list[Any] = ["sales", Sale(id=1), Base, select(Sale), None, int]
    for given_ in nothing:
        with pytest.raises(RuleError, match=r"to_sql\(.*\): give a table, a class that is mapped to one, or a dict"):
            rule.to_sql(given_)
    with pytest.raises(RuleError, match=r"'total' stands for 'sales.total'; give a column, such as orders.c.total"):
        rule.to_sql({"total": "sales.total"})  # type: ignore[dict-item]
