"""A rule goes through JSON and comes back the same; what is no rule is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from insula.rules import Rule, RuleError
from insula.rules.json_form import from_json, to_json
from insula.rules.tree import Node
from rules.growing import trees

anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=3),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(["kind", "name", "int", "left", "operands", "optional"]), inner)
    ),
)


@given(trees)
def test_a_tree_comes_back_the_same(tree: Node) -> None:
    assert from_json(json.loads(json.dumps(to_json(tree)))) == tree


@given(anything)
def test_anything_else_is_refused(data: Any) -> None:
    with pytest.raises(RuleError):
        from_json({"kind": "Binary", "operator": "+", "left": data})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "made of objects; found list"),
        ({"kind": "Nothing"}, "no part of kind 'Nothing'"),
        ({"kind": "Name"}, "Name: .*missing"),
        ({"kind": "Name", "name": 5}, "Name.name cannot be 5"),
        ({"kind": "Literal"}, "is no value"),
        ({"kind": "Literal", "int": "9223372036854775808"}, "is no value"),
        ({"kind": "Literal", "int": "9" * 10_000}, "is no value"),
        ({"kind": "Unary", "operator": "!", "operand": [{"kind": "Name", "name": "a"}]}, "operand"),
    ],
)
def test_what_is_wrong_is_told(data: Any, told: str) -> None:
    with pytest.raises(RuleError, match=told):
        Rule.from_json(data)


def test_a_tree_that_is_too_deep_is_refused() -> None:
    data: dict[str, Any] = {"kind": "Name", "name": "a"}
    for _ in range(500):
        data = {"kind": "Unary", "operator": "!", "operand": data}
    with pytest.raises(RuleError, match="nested no deeper"):
        from_json(data)
