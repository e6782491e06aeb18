"""Conditions on one kind of object: combined, asked, explained, written, read again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest

from insula.rules import EvaluationError, RuleError, Specification, fields


class Tier(Enum):
    GOLD = "gold"
    SILVER = "silver"


class Money(msgspec.Struct):
    amount: int
    currency: str = "EUR"


class Order(msgspec.Struct):
    total: Money
    item_count: int
    tier: Tier = Tier.SILVER
    tags: list[str] = []
    placed_at: datetime = datetime(2030, 1, 1, tzinfo=UTC)
    day: date = date(2030, 1, 1)
    took: timedelta = timedelta(seconds=90)
    note: str | None = None
    urgent: bool = False
    weight: Decimal = Decimal("1.5")


class Priced(msgspec.Struct):
    price: Decimal


order = fields(Order)
high_value = (order.total.amount >= 100).named("high value")
bulk = (order.item_count >= 10).named("bulk")
gold = (order.tier == Tier.GOLD).named("gold customer")
eligible = gold | (high_value & bulk)


def an_order(amount: int = 0, items: int = 0, **others: Any) -> Order:
    return Order(Money(amount), items, **others)


def test_gold_or_a_high_value_in_bulk() -> None:
    assert eligible(an_order(tier=Tier.GOLD)) is True
    assert eligible(an_order(100, 10)) is True
    assert eligible(an_order(100, 9)) is False


def test_words_for_the_operators() -> None:
    words = gold.or_(high_value.and_(bulk.not_()))
    assert words.is_satisfied_by(an_order(100, 9)) is True
    assert words.is_satisfied_by(an_order(100, 10)) is False
    assert str(words) == 'tier == "gold" || total.amount >= 100 && !(item_count >= 10)'


def test_it_reads_back_from_what_it_is_written_as() -> None:
    again = Specification.parse(eligible.to_cel())
    assert again.to_cel() == 'tier == "gold" || total.amount >= 100 && item_count >= 10'
    assert again.tree == eligible.tree
    assert again(an_order(100, 10)) is True


def test_an_explanation_calls_clauses_by_their_names() -> None:
    assert str(eligible.explain(an_order(120, 3))).splitlines() == [
        '  tier == "gold" || total.amount >= 100 && item_count >= 10: false',
        '*   gold customer, tier == "gold": false  (tier is "silver")',
        "    total.amount >= 100 && item_count >= 10: false",
        "      high value, total.amount >= 100: true  (total.amount is 120)",
        "*     bulk, item_count >= 10: false  (item_count is 3)",
    ]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (order.total.amount != 5, "total.amount != 5"),
        (order.item_count < 5, "item_count < 5"),
        (order.item_count <= order.total.amount, "item_count <= total.amount"),
        (order.item_count > -1, "item_count > -1"),
        (order.tier.is_in([Tier.GOLD, "silver"]), 'tier in ["gold", "silver"]'),
        (order.tags.contains("gift"), '"gift" in tags'),
        (order.note.contains("x"), 'note.contains("x")'),
        (order.note.starts_with("x") | order.note.ends_with("y"), 'note.startsWith("x") || note.endsWith("y")'),
        (order.note.matches("^a+$"), 'note.matches("^a+$")'),
        (order.note.is_missing(), "note == null"),
        (~order.urgent.is_true(), "!urgent"),
        (order.tags.size >= 2, "size(tags) >= 2"),
        (order.placed_at < datetime(2031, 1, 1, tzinfo=UTC), 'placed_at < timestamp("2031-01-01T00:00:00+00:00")'),
        (order.took > timedelta(minutes=1), 'took > duration("60.000000s")'),
        (order.day == date(2030, 1, 1), 'day == "2030-01-01"'),
        (order["total"]["amount"] == 5, "total.amount == 5"),
        (gold & bulk & high_value, 'tier == "gold" && item_count >= 10 && total.amount >= 100'),
    ],
)
def test_every_condition_can_be_written(condition: Specification[Order], told: str) -> None:
    assert str(condition) == told
    assert Specification.parse(told).tree == condition.tree


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (order.placed_at < datetime(2031, 1, 1, tzinfo=UTC), True),
        (order.took > timedelta(minutes=1), True),
        (order.took > timedelta(minutes=2), False),
        (order.day == date(2030, 1, 1), True),
        (order.weight > 1, True),
        (order.tags.contains("gift"), True),
        (order.note.is_missing(), True),
        (order.tier.is_in([Tier.SILVER]), True),
    ],
)
def test_values_of_python_are_compared_as_they_are_meant(condition: Specification[Order], holds: bool) -> None:
    assert condition(an_order(tags=["gift"])) is holds


def test_a_name_that_the_class_does_not_have_is_refused_where_it_is_written() -> None:
    with pytest.raises(RuleError, match="Order has no field totl; did you mean total"):
        _ = order.totl
    with pytest.raises(RuleError, match="Money has no field amont; did you mean amount"):
        _ = order.total.amont
    with pytest.raises(RuleError, match="a int has no field size"):
        _ = order.item_count["size"]


def test_words_of_python_are_refused_since_they_would_drop_a_clause() -> None:
    for wrong in (lambda: gold and bulk, lambda: gold or bulk, lambda: not gold, lambda: bool(order.urgent)):
        with pytest.raises(TypeError, match=r"combine it with|compare it"):
            wrong()


def test_a_plain_predicate_answers_and_says_what_it_cannot() -> None:
    def on_monday(order: Order) -> bool:
        return order.day.weekday() == 0

    both = Specification.of(on_monday) & bulk
    assert both(an_order(items=10, day=date(2030, 1, 7))) is True
    assert both(an_order(items=10)) is False
    assert [each.name for each in both.explain(an_order(items=10)).reasons] == ["on_monday"]
    with pytest.raises(RuleError, match="on_monday is a plain predicate: it can be answered, but not be written"):
        str(both)
    with pytest.raises(RuleError, match="on_monday is a plain predicate; SQL knows nothing of it"):
        both.to_sql({})


def test_what_has_no_answer_is_an_error_and_not_false() -> None:
    with pytest.raises(EvaluationError, match="there is no order between them"):
        Specification.parse("note > 5")(an_order())
    for operator in ("<", "<=", ">", ">="):
        with pytest.raises(EvaluationError, match=f"int {operator} string: there is no order between them"):
            Specification.parse(f"item_count {operator} '100'")(an_order())
    with pytest.raises(EvaluationError, match="answers with a bool, not with int"):
        Specification.parse("item_count + 1")(an_order())


def test_dicts_have_fields_too() -> None:
    assert Specification.parse("total.amount >= 100")({"total": {"amount": 100}}) is True


def test_the_fields_that_are_used() -> None:
    assert eligible.fields_used == {"tier", "total.amount", "item_count"}


def test_a_decimal_stands_in_a_rule_as_a_rule_sees_one() -> None:
    price = fields(Priced).price
    assert (price >= Decimal("99.99"))(Priced(Decimal("99.99"))) is True
    assert str(price >= Decimal("99.99")) == "price >= 99.99"
    with pytest.raises(RuleError, match="a Decimal cannot stand in a rule"):
        _ = price > Decimal("NaN")


def test_python_s_own_connectives_are_refused_with_what_to_write() -> None:
    price = fields(Priced).price
    with pytest.raises(TypeError, match=r"& and \| bind more strongly than a comparison"):
        _ = price > 3 & price
    with pytest.raises(TypeError, match="is_in stands for in, and two comparisons for 1 < x < 2"):
        _ = 1 < price < 2


def test_an_explanation_calls_a_predicate_by_its_name() -> None:
    large = Specification.of(lambda priced: priced.price > 3, "large")
    explanation = str((large | (fields(Priced).price > 1)).explain(Priced(Decimal(5))))
    assert explanation.splitlines()[0] == "  large || price > 1: true"
    assert str((~large).explain(Priced(Decimal(5)))).splitlines()[0] == "  !(large): false"
