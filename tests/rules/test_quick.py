"""A rule written as Python answers exactly as its steps do, or leaves the answer to them."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from unittest.mock import ANY

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from insula.rules import EvaluationError, Rule, RuleError
from insula.rules.evaluation import Preparation
from insula.rules.frame import Frame
from insula.rules.macros import MACROS
from insula.rules.preparing import FUNCTIONS
from insula.rules.tree import Binary, Conditional, Connective, ListOf, Literal, Name, Node, Select, Unary
from insula.rules.values import UInt


class Tier(Enum):
    GOLD = "gold"


class Level(StrEnum):
    GOLD = "gold"


class Order(msgspec.Struct):
    total: Any


numbers = (
    some.integers(-3, 3)
    | some.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1, -0.0])
    | some.floats()
)
subjects_values = (
    some.none() | some.booleans() | numbers | some.sampled_from(["", "gold", "silver", b"gold", Tier.GOLD, Level.GOLD])
    | some.sampled_from([UInt(1), Decimal("1.5"), ["gold"], {"x": 1}, 2**64, ANY, {True: 1, 2: [None]}])
)  # fmt: skip
subjects = some.dictionaries(
    some.sampled_from("ab"),
    some.dictionaries(some.sampled_from("xy"), subjects_values) | subjects_values | some.builds(Order, subjects_values),
)
roots = some.sampled_from("ab").map(Name)
fields = some.builds(Select, roots, some.sampled_from(["x", "y", "total"])) | roots
some_numbers = numbers.filter(lambda number: number == number)
literals = some.builds(Literal, some.none() | some.booleans() | some_numbers | some.text("gold"))
atoms = fields | literals
texts = some.lists(some.builds(Literal, some.sampled_from(["gold", "silver", 1])), max_size=3).map(tuple)
comparisons = some.builds(
    Binary, some.sampled_from(["==", "!=", "<", "<=", ">", ">=", "+"]), atoms, atoms
) | some.builds(Binary, some.just("in"), fields, some.builds(ListOf, texts))
conditions = some.recursive(
    comparisons | atoms,
    lambda smaller: (
        some.builds(Connective, some.sampled_from(["&&", "||"]), some.lists(smaller, min_size=2, max_size=3).map(tuple))
        | some.builds(Unary, some.just("!"), smaller)
        | some.builds(Conditional, smaller, smaller, smaller)
    ),
    max_leaves=6,
)


def by_steps(tree: Node, subjects: dict[str, Any]) -> Any:
    preparation = Preparation(FUNCTIONS, MACROS)
    step = preparation.value(tree)
    return step(Frame(subjects, preparation.slots, 1000))


def outcome(answer: Any) -> tuple[str, str]:
    """What is answered, and of which type."""
    try:
        found = answer()
    except RuleError as error:
        return type(error).__name__, ""
    return type(found).__name__, repr(found)


@given(conditions, subjects)
def test_both_ways_answer_alike(tree: Node, subjects: dict[str, Any]) -> None:
    assert outcome(lambda: Rule(tree).evaluate(subjects)) == outcome(lambda: by_steps(tree, subjects))


@pytest.mark.parametrize(
    ("text", "subject", "expected"),
    [
        ("order.total > 100.0", {"total": 100.5}, True),
        ("order.total > 100.0", {"total": 101}, True),
        ("order.total > 100", Order(total=101), True),
        ("order.total == 1", {"total": True}, False),
        ("order.tier == 'gold'", {"tier": Tier.GOLD}, True),
        ("order.tier == 'gold'", {"tier": Level.GOLD}, True),
        ("order.tier in ['gold', 'silver']", {"tier": Tier.GOLD}, True),
        ("order.total > 1", {"total": Decimal("1.5")}, True),
        ("order.total == 1.5 || order.missing", {"total": 1.5}, True),
        ("order.missing || order.total == 1.5", {"total": 1.5}, True),
        ("order.missing && order.total == 2.0", {"total": 1.5}, False),
        ("order.paid ? 'yes' : 'no'", {"paid": True}, "yes"),
    ],
)
def test_a_field_is_compared_by_its_value(text: str, subject: Any, expected: Any) -> None:
    assert Rule.parse(text).evaluate(order=subject) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("order.missing == 1", "there is no field missing"),
        ("order.total > 'a'", "there is no order between them"),
        ("order.total", "2"),
        ("order.total && true", "takes bools, not int"),
        ("nothing > 1", "there is no nothing"),
        ("order.total > 1 && order.total / 0 == 1", "division by zero"),
    ],
)
def test_what_has_no_answer_says_why(text: str, told: str) -> None:
    if told == "2":
        assert Rule.parse(text).evaluate(order={"total": 2}) == 2
        return
    with pytest.raises(EvaluationError, match=told):
        Rule.parse(text).evaluate(order={"total": 2})
