"""Rules from outside cost little: in time, in memory, and in what they may look at."""

from __future__ import annotations

from typing import Any

import pytest

from insula.rules import BudgetExceeded, EvaluationError, Rule, RuleError
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
