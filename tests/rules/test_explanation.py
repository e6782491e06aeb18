"""Why a rule answered as it did."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from insula.rules import Rule
from insula.rules.tree import Connective, Node
from rules.test_quick import conditions, outcome, subjects

ELIGIBLE = Rule.parse('order.tier == "gold" || (order.total >= 100 && size(order.items) >= 10)')


def test_one_clause_can_be_enough() -> None:
    why = ELIGIBLE.explain(order={"tier": "gold", "total": 120, "items": []})
    assert (why.value, [each.text for each in why.reasons]) == (True, ['order.tier == "gold"'])


def test_the_smallest_set_of_clauses_is_named() -> None:
    why = ELIGIBLE.explain(order={"tier": "silver", "total": 120, "items": [1]})
    assert why.value is False
    assert [each.text for each in why.reasons] == ['order.tier == "gold"', "size(order.items) >= 10"]


def test_it_reads_as_a_list_of_clauses_with_a_mark_at_those_that_decided() -> None:
    assert str(ELIGIBLE.explain(order={"tier": "silver", "total": 120, "items": [1]})).splitlines() == [
        '  order.tier == "gold" || order.total >= 100 && size(order.items) >= 10: false',
        '*   order.tier == "gold": false  (order.tier is "silver")',
        "    order.total >= 100 && size(order.items) >= 10: false",
        "      order.total >= 100: true  (order.total is 120)",
        "*     size(order.items) >= 10: false  (order.items is [1])",
    ]


def test_a_clause_without_an_answer_says_why() -> None:
    why = Rule.parse("order.coupon == 'x' && true").explain(order={})
    assert (why.value, why.error) == (None, "there is no field coupon")
    assert [each.text for each in why.reasons] == ['order.coupon == "x"']


def test_an_error_that_changed_nothing_is_no_reason() -> None:
    why = Rule.parse("order.coupon == 'x' || order.total > 1").explain(order={"total": 2})
    assert [each.text for each in why.reasons] == ["order.total > 1"]


@given(conditions, subjects)
def test_the_explanation_has_the_value_of_the_answer(tree: Node, subjects: dict[str, Any]) -> None:
    rule = Rule(tree)
    why = rule.explain(subjects)
    found = outcome(lambda: rule.evaluate(subjects))
    assert why.error != "" if found[1] == "" else found == (type(why.value).__name__, repr(why.value))


@given(some.sampled_from(["&&", "||"]), some.lists(some.booleans(), min_size=2, max_size=5))
def test_the_reasons_alone_make_the_answer(operator: str, values: list[bool]) -> None:
    names = [f"v{number}" for number in range(len(values))]
    rule = Rule.parse(f" {operator} ".join(names))
    assert isinstance(rule.tree, Connective)
    facts = dict(zip(names, values, strict=True))
    reasons = {each.text for each in rule.explain(facts).reasons}
    for other in (True, False):
        changed = {name: value if name in reasons else other for name, value in facts.items()}
        assert rule.evaluate(changed) is rule.evaluate(facts)


def test_the_fields_that_are_used_are_those_of_the_subjects() -> None:
    rule = Rule.parse(
        "xs.all(x, x.a == y.b && x > z) && cel.bind(q, w.e, q + 1 == 2) && m.exists(i, v, i == k[0].n)"
        " && math.greatest(p, 1) > 0 && has(o.f) && s.startsWith(t.u)"
    )
    assert rule.fields_used == {"xs", "y.b", "z", "w.e", "m", "k", "p", "o.f", "s", "t.u"}
