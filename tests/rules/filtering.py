"""What tests of filters share: conditions of conditions, and how a rule answers for a row."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as some

from insula.rules import EvaluationError, Specification
from insula.rules.tree import Conditional, Connective, Node, Unary


def joined(smaller: some.SearchStrategy[Node]) -> some.SearchStrategy[Node]:
    """Conditions that are made of others."""
    return (
        some.builds(Connective, some.sampled_from(["&&", "||"]), some.lists(smaller, min_size=2, max_size=3).map(tuple))
        | some.builds(Unary, some.just("!"), smaller)
        | some.builds(Conditional, smaller, smaller, smaller)
    )


def holds(specification: Specification[Any], row: dict[str, Any]) -> bool:
    """Whether it is true for a row; what has no answer is not."""
    try:
        return specification(row)
    except EvaluationError:
        return False
