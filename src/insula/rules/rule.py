"""A rule: an expression that is read once and answered many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insula.rules.evaluation import Preparation
from insula.rules.explanation import Explanation, explained
from insula.rules.frame import STEPS, Frame
from insula.rules.functions.encoders import ENCODERS
from insula.rules.functions.mathematics import MATHEMATICS
from insula.rules.functions.optionals import OPTIONALS
from insula.rules.functions.registry import Functions
from insula.rules.functions.standard import STANDARD
from insula.rules.functions.strings import STRINGS
from insula.rules.functions.times import TIMES
from insula.rules.json_form import from_json, to_json
from insula.rules.macros import MACROS
from insula.rules.parser import LIMITS, Limits, parse
from insula.rules.quick import Answer, quickly
from insula.rules.text import to_text
from insula.rules.tree import Name, Node, Select
from insula.rules.usage import fields_used

FUNCTIONS = Functions(STANDARD, TIMES, STRINGS, MATHEMATICS, ENCODERS, OPTIONALS)


class Rule:
    """An expression of CEL, ready to be answered. It keeps nothing between answers, so threads may share it.

    Parameters: `tree`, what `parse` returns; `steps`, after how many an answer is given up (default 1,000,000);
    `check`, whether functions that there are not are refused now (default), or only when an answer needs them.
    """

    def __init__(self, tree: Node, *, steps: int = STEPS, check: bool = True) -> None:
        self.tree = tree
        self._steps = steps
        step = self._step(tree, check=check)
        self.answer = quickly(tree, step)
        """The rule as a plain function of a dict."""

    def _step(self, node: Node, *, check: bool = True) -> Answer:
        preparation = Preparation(FUNCTIONS, MACROS, strict=check)
        step, slots, steps = preparation.value(node), preparation.slots, self._steps
        return lambda subjects: step(Frame(subjects, slots, steps))

    @staticmethod
    def parse(text: str, *, limits: Limits = LIMITS, steps: int = STEPS, check: bool = True) -> Rule:
        """From its text. Raises `RuleSyntaxError` with line, caret and what was expected; RuleError."""
        return Rule(parse(text, limits), steps=steps, check=check)

    def evaluate(self, subjects: Mapping[str, Any] | None = None, /, **named: Any) -> Any:
        """The answer. Parameters: what the rule is asked about, in a dict, or by name.

        Raises `EvaluationError` where there is none, `BudgetExceeded` where it would take too long.
        """
        if named:
            subjects = {**subjects, **named} if subjects else named
        return self.answer(subjects or {})

    def explain(self, subjects: Mapping[str, Any] | None = None, /, **named: Any) -> Explanation:
        """Why that is the answer: each clause with its value, and which of them decided."""
        about = {**(subjects or {}), **named}

        def look(node: Node) -> Any:
            return self._step(node, check=False)(about)

        return explained(self.tree, look, lambda name: look(_parsed(name)))

    @property
    def fields_used(self) -> frozenset[str]:
        """The fields of its subjects that the rule looks at, such as "order.total"."""
        return fields_used(self.tree)

    def to_json(self) -> dict[str, Any]:
        """The tree as objects of JSON."""
        return to_json(self.tree)

    @staticmethod
    def from_json(data: Any, *, steps: int = STEPS, check: bool = True) -> Rule:
        """From what `to_json` gave. Raises `RuleError` for anything else."""
        return Rule(from_json(data), steps=steps, check=check)

    def __str__(self) -> str:
        return to_text(self.tree)


def _parsed(path: str) -> Node:
    """A name with dots as a tree."""
    root, *names = path.split(".")
    node: Node = Name(root)
    for name in names:
        node = Select(node, name)
    return node
