"""A rule: an expression that is read once and answered many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insula.rules.evaluation import Preparation
from insula.rules.frame import STEPS, Frame
from insula.rules.functions.encoders import ENCODERS
from insula.rules.functions.mathematics import MATHEMATICS
from insula.rules.functions.optionals import OPTIONALS
from insula.rules.functions.registry import Functions
from insula.rules.functions.standard import STANDARD
from insula.rules.functions.strings import STRINGS
from insula.rules.functions.times import TIMES
from insula.rules.macros import MACROS
from insula.rules.parser import LIMITS, Limits, parse
from insula.rules.quick import quickly
from insula.rules.text import to_text
from insula.rules.tree import Node

FUNCTIONS = Functions(STANDARD, TIMES, STRINGS, MATHEMATICS, ENCODERS, OPTIONALS)


class Rule:
    """An expression of CEL, ready to be answered. It keeps nothing between answers, so threads may share it.

    Parameters: `tree`, what `parse` returns; `steps`, after how many an answer is given up (default 1,000,000);
    `check`, whether functions that there are not are refused now (default), or only when an answer needs them.
    """

    def __init__(self, tree: Node, *, steps: int = STEPS, check: bool = True) -> None:
        self.tree = tree
        preparation = Preparation(FUNCTIONS, MACROS, strict=check)
        answer, slots = preparation.value(tree), preparation.slots
        self.answer = quickly(tree, lambda subjects: answer(Frame(subjects, slots, steps)))
        """The rule as a plain function of a dict."""

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

    def __str__(self) -> str:
        return to_text(self.tree)
