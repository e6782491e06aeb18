"""What a rule can never answer is found when it is read, with the place and what was meant."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import msgspec
import pytest

from insula.rules import Rule, RuleError, RuleTypeError, Specification
from rules.growing import seconds_of_processor


class Tier(Enum):
    GOLD = "gold"


class Line(msgspec.Struct):
    sku: str
    quantity: int


class Order(msgspec.Struct):
    total: float
    lines: list[Line]
    tier: Tier
    placed_at: datetime
    took: timedelta
    paid: bool = False
    note: str | None = None
    extra: dict[str, int] = {}
    anything: Any = None

    @property
    def late(self) -> bool:
        return True


ABOUT: dict[str, Any] = {"order": Order, "user": {"tier": str, "age": int}, "flags": list[str], "x.y": int}


@pytest.mark.parametrize(
    "text",
    [
        "order.total > 100 && order.tier == 'gold'",
        "order.lines.all(l, l.quantity > 0 && l.sku.startsWith('a'))",
        "order.lines.exists(i, l, i < l.quantity)",
        "order.lines.map(l, l.quantity)[0] + 1 == 2",
        "order.lines.filter(l, l.quantity > 1).size() > 0",
        "order.placed_at + order.took < timestamp('2030-01-01T00:00:00Z')",
        "order.placed_at - order.placed_at > duration('1h')",
        "order.paid ? user.age > 18 : user.tier in ['gold', 'silver']",
        "order.note == null || order.note.contains('x')",
        "order.extra['a'] + order.extra.b > 3",
        "order.anything.goes > 3 || order.late",
        "'a' in flags && flags.size() > 1 && flags[0] != 'b'",
        "user.age in [1, '1'] || user.age in [] || user.age in [null] || user.age in [1.0]",
        "x.y > 5 && type(x.y) == int",
        "has(order.note) && !order.paid",
        "cel.bind(t, order.total, t > 1.0)",
        "math.greatest(order.total, 5) > 3",
        "order.lines[?0].sku.orValue('none') == 'a'",
        "{'a': 1}.a + 1 > 1 && -user.age < 0",
        "string(order.total) + 'x' == 'y'",
    ],
)
def test_a_rule_that_fits_is_taken(text: str) -> None:
    assert str(Rule.parse(text, about=ABOUT))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ordr.total > 1", "the rule is not asked about ordr; did you mean order"),
        ("order.totl > 1", "Order has no field totl; did you mean total"),
        ("user.tir == 'gold'", "it has no field tir; did you mean tier"),
        ("order.lines.all(l, l.quantty > 0)", "Line has no field quantty; did you mean quantity"),
        ("order.total > 'a'", "there is no order between a double and a string"),
        ("order.tier == 5", "a string is never equal to a int"),
        ("order.total + 1 > 2.0", r"double \+ int means nothing; int\(\), uint\(\) and double\(\) convert"),
        ("order.total && true", "&& takes a bool, not a double"),
        ("!order.total", "! takes a bool, not a double"),
        ("-user.tier == 'a'", "a string has no negative"),
        ("user.age.x == 1", "a int has no field x"),
        ("user.age[0] == 1", "a int has no elements"),
        ("flags['a'] == 'b'", "an element of a list is named by its number, not by a string"),
        ("'a' in user.age", "only a list or a map contains something, not a int"),
        ("user.age in ['1', '2']", "a int is never equal to a string"),
        ("user.age in flags", "a int is never equal to a string"),
        ("1 in order.extra", "a int is never equal to a string"),
        ("user.age ? 1 : 2", r"\? takes a bool, not a int"),
        ("user.age.all(x, true)", "all runs over a list or a map, not over a int"),
        ("flags.all(x, x)", "all needs a condition, not a string"),
        ("user.age.startsWith('a')", r"startsWith\(int, string\) means nothing"),
        ("size(user.age) > 1", r"size\(int\) means nothing"),
        ("order.took > order.placed_at", "there is no order between a duration and a timestamp"),
    ],
)
def test_a_rule_that_can_never_be_answered_is_refused(text: str, told: str) -> None:
    with pytest.raises(RuleTypeError, match=told):
        Rule.parse(text, about=ABOUT)


def test_the_place_is_shown() -> None:
    with pytest.raises(RuleTypeError) as refusal:
        Rule.parse("order.paid &&\n  order.totl > 1", about=ABOUT)
    assert str(refusal.value) == (
        "line 2, column 3: Order has no field totl; did you mean total?\n    order.totl > 1\n    ^"
    )


def test_a_specification_is_checked_against_its_class() -> None:
    assert str(Specification.parse("total > 100 && paid", Order)) == "total > 100 && paid"
    with pytest.raises(RuleTypeError, match="the rule is not asked about totl; did you mean total"):
        Specification.parse("totl > 100", Order)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not order.paid", '"not" is written "!"'),
        ("order.total not in [1]", '"not" is written "!"'),
        ("order.paid or true", '"or" is written "||"'),
        ("order.note is None", '"is" is written "=="'),
        ("order.note == None", "not asked about None; None is written null"),
        ("len(order.note) > 1", "there is no function len; the length of something is size(x)"),
        ("[1].any(x, x > 1)", "there is no function any; any is written x.exists(each, condition)"),
        ("order.note.lower() == ''", "there is no function lower; lower is written x.lowerAscii()"),
        ("startsWith(order.note, 'a')", "startsWith is called as x.startsWith()"),
        ("'1'.int() == 1", "int is called as int(x)"),
    ],
)
def test_what_comes_from_another_language_is_told_in_that_of_rules(text: str, told: str) -> None:
    with pytest.raises(RuleError, match=re.escape(told)):
        Rule.parse(text, about={"order": {"paid": bool, "total": int, "note": str}})


def test_what_is_no_rule_or_subject_is_told() -> None:
    with pytest.raises(RuleError, match="a rule is a text, not a int"):
        Rule.parse(5)  # type: ignore[arg-type]
    with pytest.raises(RuleError, match="'int' is the name of a type; give the type itself"):
        Rule.parse("a > 1", about={"a": "int"})
    with pytest.raises(RuleError, match="give a dict of names"):
        Rule.parse("a > 1", about=["a"])  # type: ignore[arg-type]
    with pytest.raises(RuleError, match=r"evaluate\(order=order\); what names the fields of one object is a Spec"):
        Rule.parse("a > 1").evaluate(object())  # type: ignore[arg-type]


def test_lists_in_lists_are_looked_at_once() -> None:
    deep = f"{'true in [' * 40}true{']' * 40}"
    with seconds_of_processor(1):
        assert str(Rule.parse(deep, about={})) == deep
