"""Conditions of fields are refused where they are written, if their types say that they never hold."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest

from insula.rules import Rule, RuleError, RuleTypeError, Specification, fields


class Tier(Enum):
    GOLD = "gold"


class Money(msgspec.Struct):
    amount: int


class Order(msgspec.Struct):
    total: int
    tier: Tier
    price: Money
    weight: Decimal
    tags: list[str]
    codes: Sequence[str]
    amounts: dict[str, int]
    placed_at: datetime
    took: timedelta
    day: date
    paid: bool
    note: str | None = None
    anything: Any = None
    either: int | str = 0


class Customer(msgspec.Struct):
    total: int


class Plain:
    def __init__(self) -> None:
        self.total = "150"


order = fields(Order)


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda: order.total == "150", 'total == "150": a int is never equal to a string; Order declares total as int'),
        (lambda: order.total != "150", "a int is never equal to a string"),
        (lambda: order.total >= "100", "there is no order between a int and a string"),
        (lambda: order.total.is_in(["150"]), "a int is never equal to a string"),
        (lambda: order.total.is_in([150, "151"]), 'total == "151": a int is never equal to a string'),
        (lambda: order.total.starts_with("1"), "startsWith(int, string) means nothing"),
        (lambda: order.total.contains("1"), "contains(int, string) means nothing"),
        (lambda: order.tier.contains(3), "only a list or a map contains something, not a string"),
        (lambda: order.tier == 3, "a string is never equal to a int; Order declares tier as Tier"),
        (lambda: order.tier.starts_with(3), "startsWith(string, int) means nothing"),
        (lambda: order.tags.contains(3), "a int is never equal to a string"),
        (lambda: order.tags == "gift", "a list(string) is never equal to a string"),
        (lambda: order.price.amount == "5", "Order declares price.amount as int"),
        (lambda: order.price > 5, "there is no order between a Money and a int"),
        (lambda: order.placed_at > date(2030, 1, 1), "there is no order between a timestamp and a string"),
        (lambda: order.took > 5, "there is no order between a duration and a int"),
        (lambda: order.total > order.note, "Order declares total as int and note as str | None"),
        (lambda: order.total.is_in(order.tags), "a int is never equal to a string"),
        (lambda: ~order.total.is_true(), "it is a int and no condition; compare it with something"),
        (lambda: order.total.size, "size(total): size(int) means nothing"),
        (lambda: order.tags.size > "3", "there is no order between a int and a string"),
        (lambda: order.note > 5, "there is no order between a string and a int"),
    ],
)
def test_what_can_never_hold_is_refused_with_the_line_that_says_it(write: Callable[[], object], told: str) -> None:
    with pytest.raises(RuleTypeError, match=re.escape(told)) as refusal:
        write()
    line = inspect.getsourcelines(write)[1]
    assert str(refusal.value).startswith(f"tests/rules/test_fields.py:{line}: ")
    assert refusal.value.line == line


@pytest.mark.parametrize(
    "write",
    [
        lambda: order.total >= 99.5,
        lambda: order.total == None,  # noqa: E711
        lambda: order.weight >= Decimal("1.5"),
        lambda: order.weight >= 1,
        lambda: order.tier == Tier.GOLD,
        lambda: order.tier.is_in({"gold", Tier.GOLD}),
        lambda: order.tier.is_in(Tier),
        lambda: order.note.is_in([None, "x"]),
        lambda: order.total.is_in([]),
        lambda: order.note.is_in(order.tags),
        lambda: order.placed_at > datetime(2030, 1, 1, tzinfo=UTC),
        lambda: order.day >= date(2030, 1, 1),
        lambda: order.price.amount == order.total,
        lambda: order.tags.size == order.total,
        lambda: order.anything == "150",
        lambda: order.anything.goes.on > 3,
        lambda: ~order.anything.is_true(),
        lambda: order.either == "150",
        lambda: order.either.starts_with("1"),
        lambda: fields(Plain).total == 150,
        lambda: fields(Plain).total.deeper.is_in(["x"]),
    ],
)
def test_what_may_hold_or_is_not_known_is_taken(write: Callable[[], Specification[Any]]) -> None:
    assert str(write())


def test_a_text_is_no_list_of_what_a_field_may_be() -> None:
    for given in ("gold", b"gold", 5):
        with pytest.raises(RuleError, match=r"is_in\(.*\): give a list, such as is_in\(\["):
            order.tier.is_in(given)  # type: ignore[arg-type]


def test_a_field_may_be_looked_for_in_another_one() -> None:
    assert str(order.note.is_in(order.tags)) == "note in tags"
    assert str(order.anything.is_in(["x", order.note])) == 'anything in ["x", note]'


def test_what_holds_many_contains_elements_and_a_text_contains_parts() -> None:
    assert str(order.codes.contains("x")) == '"x" in codes'
    assert str(order.amounts.contains("x")) == '"x" in amounts'
    assert str(order.note.contains("x")) == 'note.contains("x")'


def test_a_field_is_not_run_over() -> None:
    for wrong in (lambda: list(order.tags), lambda: "gift" in order.tags):
        with pytest.raises(TypeError, match=r"tags is a field and holds nothing yet: x in it is written contains\(x\)"):
            wrong()
    with pytest.raises(RuleError, match="a field is named by a text, not by 0"):
        _ = order.tags[0]  # type: ignore[index]


def test_a_condition_is_about_one_object() -> None:
    with pytest.raises(RuleError, match="total and total are fields of Order and Customer; ask about one"):
        _ = order.total == fields(Customer).total


def test_only_a_class_has_fields() -> None:
    with pytest.raises(RuleError, match=r"fields\(.*\): that is a Customer and no class; give the class, such as"):
        fields(Customer(5))  # type: ignore[arg-type]
    with pytest.raises(RuleError, match=r"fields\('Order'\): that is a str and no class"):
        fields("Order")  # type: ignore[arg-type]
    with pytest.raises(RuleError, match=r"Specification.parse\(.*\): that is a Customer and no class"):
        Specification.parse("total > 1", Customer(5))  # type: ignore[arg-type]


def test_a_field_that_is_no_condition_yet_says_how_it_becomes_one() -> None:
    many = order.total > 5
    told = r"paid is a field and no condition yet: write paid.is_true\(\), in parentheses, before & or \|"
    for wrong in (lambda: order.paid & many, lambda: order.paid | order.paid, lambda: order.paid & True):
        with pytest.raises(TypeError, match=told):
            wrong()
    with pytest.raises(TypeError, match="total is a field and no condition yet: compare it"):
        _ = order.total & many
    with pytest.raises(TypeError, match="a field is no condition yet; compare it, or ask is_true"):
        _ = many & order.paid  # type: ignore[operator]
    with pytest.raises(TypeError, match=r"paid is a field and no condition yet: write ~ before one, or is_true\(\)"):
        _ = ~order.paid


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (True, "and not with a bool: an answer is no condition; leave it out"),
        (Rule.parse("order.total > 1"), "a rule is about subjects by name; write it as Specification.parse('order.tot"),
        (len, "and not with a builtin_function_or_method: a function becomes one by Specification.of(function)"),
        ("total > 1", "and not with a str: give a comparison of fields, or Specification.parse(text)"),
        (None, "and not with a NoneType"),
    ],
)
def test_what_is_no_specification_is_not_combined_with_one(other: Any, told: str) -> None:
    many = order.total > 5
    combined: list[Callable[[], object]] = [
        lambda: many & other, lambda: many | other, lambda: other & many, lambda: other | many,
        lambda: many.and_(other), lambda: many.or_(other),
    ]  # fmt: skip
    for wrong in combined:
        with pytest.raises(TypeError, match=re.escape(told)):
            wrong()


def test_a_specification_of_a_class_is_a_condition() -> None:
    with pytest.raises(RuleTypeError, match="it is a int and no condition; compare it with something"):
        Specification.parse("total + 1", Order)
