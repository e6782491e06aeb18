"""Rules may call functions of the application, and are checked against what their annotations say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from insula.rules import (
    BudgetExceeded,
    EvaluationError,
    Rule,
    RuleError,
    RuleFile,
    RuleSet,
    RuleTypeError,
    Specification,
)


class Order(msgspec.Struct):
    total: int
    country: str = "AT"


class Gift(Order):
    pass


class Sized(Protocol):
    size: int


def distance(first: str, second: str) -> int:
    return abs(len(first) - len(second))


def risk_of_country(country: str) -> float:
    return {"AT": 0.1, "XX": 0.9}[country]


def risk_of_order(order: Order) -> float:
    return order.total / 1000


def initials(name: str, most: int = 2) -> str:
    return "".join(word[0] for word in name.split())[:most]


def later(moment: datetime, by: timedelta) -> datetime:
    return moment + by


def longest(texts: Sequence[str]) -> str:
    return max(texts, key=len)


def total(amounts: Mapping[bool, int]) -> int:
    return sum(amounts.values())


def nothing(value: str | None) -> bool:
    return value is None


def kind(value: Any) -> str:
    return type(value).__name__


def wrong(value: int) -> int:
    return str(value)  # type: ignore[return-value]


def huge(value: int) -> int:
    return 2**value


def text(size: int) -> str:
    return "a" * size


FUNCTIONS = {
    "distance": distance,
    "risk": [risk_of_country, risk_of_order],
    ".initials": initials,
    "later": later,
    "longest": longest,
    "total": total,
    "nothing": nothing,
    "kind": kind,
    "wrong": wrong,
    "huge": huge,
    "text": text,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("distance('a', 'abc') == 2", True),
        ("risk('AT') + risk(order)", 0.25),
        ("risk(gift)", 1.0),
        ("'Ada Lovelace King'.initials()", "AL"),
        ("'Ada Lovelace King'.initials(3)", "ALK"),
        ("later(timestamp('2030-01-01T00:00:00Z'), duration('-1.5s')) == timestamp('2029-12-31T23:59:58.5Z')", True),
        ("longest(['a', 'abc', 'ab'])", "abc"),
        ("total({true: 1, false: 2})", 3),
        ("nothing(null) && !nothing('a')", True),
        ("[kind(1), kind(1u), kind(int), kind([1]), kind({'a': 1})]", ["int", "UInt", "str", "list", "dict"]),
        ("['a', 'b'].map(x, distance(x, 'abc'))", [2, 2]),
        ("true || risk('nowhere') > 0.5", True),
    ],
)
def test_a_rule_calls_functions(text: str, expected: Any) -> None:
    subjects = {"order": Order(150), "gift": Gift(1000)}
    rule = Rule.parse(text, about={"order": Order, "gift": Gift}, functions=FUNCTIONS)
    assert rule.evaluate(subjects) == expected
    assert Rule.from_json(rule.to_json(), functions=FUNCTIONS).evaluate(subjects) == expected
    assert Rule.parse(str(rule), functions=FUNCTIONS).tree == rule.tree


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("risk('XY')", "risk\\(string\\): KeyError: 'XY'"),
        ("risk(1)", "risk\\(int\\): it does not take these; it takes \\(string\\) or \\(Order\\)"),
        ("distance('a')", "it takes \\(string, string\\)"),
        ("wrong(1)", "wrong answered with a string; it says that it answers a int"),
        ("huge(64)", "does not fit an int of 64 bits"),
        ("longest(['a', 1])", "it does not take these"),
        ("longest([])", "longest\\(list\\): ValueError"),
    ],
)
def test_what_goes_wrong_in_a_function_is_an_error_of_the_answer(text: str, told: str) -> None:
    rule = Rule.parse(text, functions=FUNCTIONS)
    with pytest.raises(EvaluationError, match=told):
        rule.evaluate()
    assert Rule.parse(f"true || {text} == dyn(1)", functions=FUNCTIONS).evaluate() is True


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("distence('a', 'b') > 1", "there is no function distence; did you mean distance"),
        ("order.country.initals()", "there is no function initals; did you mean initials"),
        ("initials(order.country)", "initials is called as x.initials\\(\\)"),
        ("order.country.distance('a')", "distance is called as distance\\(x\\)"),
        ("distance(order.total, 'a') > 1", "column 1: distance\\(int, string\\) means nothing: it takes \\(string, st"),
        ("risk(1.5)", "risk\\(double\\) means nothing: it takes \\(string\\) or \\(Order\\)"),
        ("distance('a', 'b') == 'c'", "a int is never equal to a string"),
        ("risk(order.contry)", "Order has no field contry; did you mean country"),
        ("longest([1])", "longest\\(list\\(int\\)\\) means nothing"),
        ("'a'.initials('b')", "means nothing: it takes \\(string, int\\)"),
    ],
)  # fmt: skip
def test_calls_are_checked_before_they_are_answered(text: str, told: str) -> None:
    with pytest.raises(RuleError, match=told):
        Rule.parse(text, about={"order": Order}, functions=FUNCTIONS)


async def waiting(value: str) -> bool:
    return bool(value)


def untyped(value) -> bool:  # type: ignore[no-untyped-def]
    return bool(value)


def unanswered(value: str):  # type: ignore[no-untyped-def]
    return value


def several(*values: str) -> bool:
    return bool(values)


def of_a_day(day: date) -> bool:
    return bool(day)


def of_money(amount: Decimal) -> bool:
    return bool(amount)


def of_a_shape(value: Sized) -> bool:
    return bool(value.size)


def always() -> bool:
    return True


@pytest.mark.parametrize(
    ("functions", "told"),
    [
        ({"size": distance}, "size is a function of CEL; give yours another name"),
        ({".all": distance}, "\\.all is a function of CEL"),
        ({"two words": distance}, "'two words' is no name of a function"),
        ({"while": distance}, "'while' is no name of a function"),
        ({"geo.distance": distance}, "'geo.distance' is no name of a function"),
        ({"f": 1}, "f is 1; give a function"),
        ({"f": [1]}, "f is 1; give a function"),
        ({"f": []}, "f stands for an empty list"),
        ({"f": waiting}, "f is async, and a rule waits for nothing"),
        ({"f": untyped}, "f: value has no annotation"),
        ({"f": unanswered}, "f: what it answers has no annotation"),
        ({"f": partial(distance, "a")}, "f: second has no annotation"),
        ({"f": math.hypot}, "f"),
        ({"f": several}, "f has a parameter \\*values: "),
        ({"f": of_a_day}, "f: day is a date, which a rule sees as a text or number"),
        ({"f": of_money}, "f: amount is a Decimal"),
        ({"f": of_a_shape}, "f: value is a Sized, which no value can be asked to be"),
        ({".f": always}, "\\.f takes nothing that could stand before its dot"),
        ({"f": [risk_of_country, initials]}, "two functions called f take the same"),
        ({"f": [kind, risk_of_order]}, "two functions called f take the same"),
    ],
)
def test_a_function_that_no_rule_could_call_is_refused(functions: dict[str, Any], told: str) -> None:
    with pytest.raises(RuleError, match=told):
        Rule.parse("true", functions=functions)


def test_calls_and_what_they_answer_are_steps() -> None:
    rule = Rule.parse("a.all(x, distance('', '') == 0)", functions=FUNCTIONS, steps=150)
    assert rule.evaluate(a=[1] * 70) is True
    with pytest.raises(BudgetExceeded):
        rule.evaluate(a=[1] * 80)
    with pytest.raises(BudgetExceeded):
        Rule.parse("text(100000) == ''", functions=FUNCTIONS, steps=100).evaluate()


def test_an_explanation_shows_what_was_called() -> None:
    rule = Rule.parse("distance(a, 'abc') > 1 || nothing(a)", functions=FUNCTIONS)
    assert str(rule.explain(a="ab")) == (
        '  distance(a, "abc") > 1 || nothing(a): false\n'
        '*   distance(a, "abc") > 1: false  (a is "ab")\n'
        '*   nothing(a): false  (a is "ab")'
    )
    assert rule.fields_used == {"a"}


def test_specifications_call_functions_and_keep_them_when_they_are_combined() -> None:
    near = Specification.parse("distance(country, 'A') < 2", Order, functions={"distance": distance}).named("near")
    risky = Specification.parse("risk(country) > 0.5", Order, functions={"risk": risk_of_country})
    both = near & ~risky
    assert both(Order(1)) is True
    assert both(Order(1, "XX")) is False
    assert "near" in str(both.explain(Order(1)))
    with pytest.raises(RuleTypeError, match="risk\\(int\\) means nothing"):
        Specification.parse("risk(total) > 0.5", Order, functions={"risk": risk_of_country})


def test_specifications_that_mean_different_functions_are_not_combined() -> None:
    one = Specification.parse("f(country, 'a') > 0", Order, functions={"f": distance})
    other = Specification.parse("f(country) > 0.0", Order, functions={"f": risk_of_country})
    with pytest.raises(RuleError, match="combined call different functions f; rename one"):
        one & other


def test_sql_knows_nothing_of_a_function() -> None:
    orders = Table("orders", MetaData(), Column("total", Integer))
    risky: Specification[Order] = Specification.parse("risk(total) > 1.0", functions=FUNCTIONS)
    with pytest.raises(RuleError, match="to_sql: risk\\(total\\): only fields, values and comparisons of them"):
        risky.to_sql(orders)
    empty: Specification[Order] = Specification.parse("total > 1 && nothing(null)", functions=FUNCTIONS)
    with pytest.raises(RuleError, match="to_sql: nothing\\(null\\): nothing\\(\\) has no counterpart"):
        empty.to_sql(orders)


def test_sets_and_files_of_rules_call_functions(tmp_path: Path) -> None:
    rules = RuleSet({"near": "distance(a, 'abc') < 2"}, functions=FUNCTIONS)
    assert rules.decide(a="ab").matching == ("near",)
    with pytest.raises(RuleError, match="near: there is no function distance"):
        RuleSet({"near": "distance(a, 'abc') < 2"})
    path = tmp_path / "rules.toml"
    path.write_text("[rules]\nrisky = 'risk(a) > 0.5'\n")
    file = RuleFile(path, check_seconds=0, functions=FUNCTIONS)
    assert file.rules.decide(a="XX").matching == ("risky",)
    path.write_text("[rules]\nsafe = 'risk(a) < 0.5'\n")
    decision = file.rules.decide(a="nowhere")
    assert decision.errors == {"safe": "risk(string): KeyError: 'nowhere'"}
    assert RuleSet.load(path, functions=FUNCTIONS).decide(a="AT").matching == ("safe",)


def test_a_moment_of_the_edge_is_given_as_it_is() -> None:
    rule = Rule.parse("later(a, duration('0'))", functions={"later": later})
    assert rule.evaluate(a=datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)).at().year == 9999


def test_functions_are_given_by_name() -> None:
    def risk(country: str) -> float:
        return len(country) / 10

    told = r"functions=.*: give a dict of name -> function, such as \{'risk': risk\}"
    for given in ([risk], (risk,), risk, []):
        with pytest.raises(RuleError, match=told):
            Rule.parse("risk('AT') > 0.5", functions=given)  # type: ignore[arg-type]
        with pytest.raises(RuleError, match=told):
            Specification(Specification.parse("total > 1").tree, functions=given)  # type: ignore[arg-type]
    with pytest.raises(RuleError, match="3 is no name of a function"):
        Rule.parse("risk('AT') > 0.5", functions={3: risk})  # type: ignore[dict-item]
