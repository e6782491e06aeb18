"""Rules from outside cost little: in time, in memory, and in what they may look at."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from unittest.mock import ANY

import pytest

from insula.rules import BudgetExceeded, EvaluationError, Rule, RuleError, RuleSet
from rules.growing import seconds_of_processor


@pytest.mark.parametrize(
    "text",
    [
        "a.all(x, a.all(y, a.all(z, x + y + z >= 0)))",
        "a.map(x, a.map(y, a.map(z, x)))",
        "a.exists(x, a.exists(y, a.exists(z, x + y + z < 0)))",
        "true || a.map(x, a.map(y, a.map(z, x))) == []",
        "a.map(x, a.map(y, a.map(z, x))) == [] || false",
    ],
)
def test_macros_within_macros_are_given_up(text: str) -> None:
    rule = Rule.parse(text, steps=100_000)
    with seconds_of_processor(2):
        if text.startswith("true"):
            assert rule.evaluate(a=list(range(1000))) is True
        else:
            with pytest.raises(BudgetExceeded, match="takes more steps than it may"):
                rule.evaluate(a=list(range(1000)))


def test_a_text_that_doubles_again_and_again_is_given_up() -> None:
    text = "s"
    for _ in range(25):
        text = f"[{text}].map(v, v + v)[0]"
    with pytest.raises(BudgetExceeded), seconds_of_processor(2):
        Rule.parse(text).evaluate(s="a" * 1000)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){25}$", "(a*)*b"])
def test_a_pattern_that_hangs_elsewhere_answers_at_once(pattern: str) -> None:
    with seconds_of_processor(2):
        assert Rule.parse("t.matches(p)").evaluate(t="a" * 20_000 + "!", p=pattern) in (True, False)


@pytest.mark.parametrize("pattern", ["(", "a{1,99999}", "(?=a)", "\\1", "x" * 3_000_000])
def test_a_pattern_that_there_is_not_is_told(pattern: str) -> None:
    with pytest.raises(EvaluationError, match="is no pattern of RE2"), seconds_of_processor(2):
        Rule.parse("'a'.matches(p)").evaluate(p=pattern)


NAMES = range(40)


def doubled(letter: str, inner: str) -> str:
    """`inner`, in which the last name holds two of the one before, and so on: 2^40 elements that take no room."""
    for number in reversed(NAMES):
        held = f"[{letter}{number - 1}, {letter}{number - 1}]" if number else "[1, 1]"
        inner = f"cel.bind({letter}{number}, {held}, {inner})"
    return inner


@pytest.mark.parametrize(
    "text",
    [
        doubled("v", doubled("w", "v39 == w39")),
        doubled("v", doubled("w", "v39 in [w39]")),
        doubled("v", doubled("w", "{'a': v39} != {'a': w39}")),
        doubled("v", doubled("w", "optional.of(v39) == optional.of(w39)")),
        doubled("v", "'%s'.format([v39])"),
        doubled("v", "v39[0] == 1"),
        "s.replace('', s)",
        "a.map(x, s).join()",
        "a.map(x, '').join(s)",
        "'%s%s'.format([a.map(x, s), a.map(x, s)])",
        "a.all(x, a.all(y, a == a))",
        "a.all(x, a.all(y, a in [a]))",
        "a.all(x, a.all(y, size(m) == 1))",
        "a.all(x, a.all(y, !(-1 in a)))",
        "a.all(x, a.all(y, !s.contains('bab')))",
        "a.all(x, a.all(y, s.lastIndexOf('b' + s) < 0))",
        "a.all(x, a.all(y, !s.matches('(a|aa|b)+c')))",
        "a.all(x, a.all(y, !s.matches('[a-z]{999}x')))",
        "a.exists(x, a.exists(y, 'x'.matches('(\\\\pL|y){500}' + string(x * 1000 + y))))",
        "a.exists(x, a.exists(y, '!'.matches('(a|b){900}' + string(x * 1000 + y))))",
        "a.exists(x, a.exists(y, timestamp(0).getHours('No/' + string(x * 1000 + y)) > 24))",
        f"a.all(x, a.all(y, [{', '.join('1' * 9000)}] != []))",
    ],
)
def test_what_takes_long_is_given_up_within_seconds(text: str) -> None:
    numbers = list(range(1000))
    rule = Rule.parse(text, steps=200_000)
    with seconds_of_processor(2), pytest.raises(BudgetExceeded, match="takes more steps than it may"):
        rule.evaluate(a=numbers, m={"x": {"y": numbers}}, s="a" * 100_000)


def test_an_explanation_is_bounded_as_a_whole() -> None:
    rule = Rule.parse(" || ".join(["a.exists(x, a.exists(y, x + y < 0))"] * 100), steps=20_000)
    with seconds_of_processor(2), pytest.raises(BudgetExceeded):
        rule.explain(a=list(range(100)))


def test_a_rule_of_a_set_that_takes_too_long_does_not_keep_the_others_from_their_answers() -> None:
    rules = RuleSet({"slow": "a.all(x, a.all(y, a.all(z, true)))", "quick": "true"})
    decision = rules.decide(a=list(range(1000)))
    assert decision.matching == ("quick",)
    assert "more steps" in decision.errors["slow"]


class Broken:
    """A subject that fails when it is read."""

    @property
    def total(self) -> int:
        raise ZeroDivisionError("no orders")

    def __getitem__(self, name: str) -> int:
        raise OSError(f"{name} cannot be fetched")


class Property:
    @property
    def total(self) -> int:
        raise ZeroDivisionError("no orders")


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


itself: list[Any] = []
itself.append(itself)


@pytest.mark.parametrize(
    ("text", "subject", "told"),
    [
        ("a.total > 1", Property(), "Property.total: ZeroDivisionError: no orders"),
        ("has(a.total)", Property(), "Property.total: ZeroDivisionError"),
        ("a.total > 1", Broken(), "Broken.total: OSError: total cannot be fetched"),
        ("a == [1]", nested(5000), "nested no deeper than 200"),
        ("a[0][0] == [1]", nested(5000), "nested no deeper than 200"),
        ("a == [1]", itself, "nested no deeper than 200"),
        ("a > 1.0", Decimal("sNaN"), "a Decimal cannot be read"),
        ("a[s]", {"b": 1}, "there is no entry 'aaa"),
        ("{s: 1, s: 2} == a", {}, "two entries for 'aaa"),
        ("a > 100", 2**64, "does not fit an int of 64 bits"),
        ("a == a", 2**64, "does not fit an int of 64 bits"),
        ("a <= 1.5", -(2**63) - 1, "does not fit an int of 64 bits"),
        ("timestamp('2030-01-01T00:00:00+24:00')", None, "an offset is less than a day"),
        ("timestamp('2030-01-01T00:00:00+01:60')", None, "an offset is less than a day"),
    ],
)
def test_a_subject_that_cannot_be_read_is_an_error_of_the_answer(text: str, subject: Any, told: str) -> None:
    with pytest.raises(EvaluationError, match=told) as found:
        Rule.parse(text).evaluate(a=subject, s="a" * 100_000)
    assert len(str(found.value)) < 200


@pytest.mark.parametrize(
    ("text", "subject", "answer"),
    [
        ("a[true]", {True: "yes"}, "yes"),
        ("a[1]", {1: "one", False: "no"}, "one"),
        ("a[1.0]", {1: "one"}, "one"),
        ("1 in a", {True: "yes"}, False),
        ("a[?1].hasValue()", {True: "yes"}, False),
        ("a[?true].hasValue()", {1: "one"}, False),
        ("a == ['b', 1]", {1, "b"}, False),
        ("size(a)", {(1,), ("a",)}, 2),
        ("a == 'x'", ANY, False),
    ],
)
def test_python_has_other_ideas_of_what_is_alike(text: str, subject: Any, answer: Any) -> None:
    assert Rule.parse(text).evaluate(a=subject) == answer


class Account:
    """A subject with more than fields."""

    def __init__(self) -> None:
        self.balance = 5
        self._secret = "hidden"

    def close(self) -> None:
        raise AssertionError("a rule must not do anything")


@pytest.mark.parametrize("field", ["_secret", "__class__", "__dict__", "close", "__init__", "nothing"])
def test_a_rule_sees_the_fields_of_an_object_and_nothing_else(field: str) -> None:
    with pytest.raises(EvaluationError, match="field"):
        Rule.parse(f"account.{field} == 1").evaluate(account=Account())
    assert Rule.parse("account.balance == 5").evaluate(account=Account()) is True
    assert Rule.parse(f"has(account.{field})").evaluate(account=Account()) is False


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("f(1)", "there is no function f"),
        ("'a'.upperAsci()", "there is no function upperAsci; did you mean upperAscii"),
        ("has(a)", "has\\(\\) takes a field"),
        ("[1].all(x.y, true)", "needs a plain name"),
        ("[1].all(x, x, true)", "two variables are called x"),
        ("[1].map(x)", "map takes 2 or 3 arguments, not 1"),
        ("a.B{c: 1}", "a rule makes no messages"),
        ("cel.index(0)", "names nothing here"),
    ],
)
def test_what_can_never_be_answered_is_refused_when_it_is_read(text: str, told: str) -> None:
    with pytest.raises(RuleError, match=told):
        Rule.parse(text)


@pytest.mark.parametrize("subject", [2**63, -(2**63) - 1, [2**64], {"x": 2**64}])
def test_a_number_that_does_not_fit_has_no_answer(subject: Any) -> None:
    with pytest.raises(EvaluationError, match="does not fit an int of 64 bits"):
        Rule.parse("dyn(a) == dyn(a)").evaluate(a=subject)
