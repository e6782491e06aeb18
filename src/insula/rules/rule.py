"""A rule: an expression that is read once and answered many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insula.rules.checking import check as check_types
from insula.rules.errors import RuleError
from insula.rules.explanation import Explanation, explained
from insula.rules.frame import STEPS
from insula.rules.functions.declared import Declarations
from insula.rules.json_form import from_json, to_json
from insula.rules.macros import MACROS
from insula.rules.parser import LIMITS, Limits, parse
from insula.rules.preparing import Looking, functions_with, ready
from insula.rules.quick import quickly
from insula.rules.text import to_text
from insula.rules.tree import Node
from insula.rules.usage import fields_used, tree_of_path


class Rule:
    """An expression of CEL, ready to be answered. It keeps nothing between answers, so threads may share it.

    Parameters: `tree`, what `parse` returns; `steps`, after how many an answer is given up (default 1,000,000);
    `check`, whether functions that there are not are refused now (default), or only when an answer needs them;
    `functions`, name -> function of Python, or some that take different types. With a dot before its name it is called
    as `x.name()`. Its annotations say what it takes and answers. It must have no effects: it is called once, often or
    not at all. What it raises is an `EvaluationError`. Each call is a step.
    """

    def __init__(
        self, tree: Node, *, steps: int = STEPS, check: bool = True, functions: Declarations | None = None
    ) -> None:
        self.tree = tree
        self._steps = steps
        self._functions = functions_with(functions)
        self.answer = quickly(tree, ready(tree, steps=steps, check=check, functions=self._functions))
        """The rule as a plain function of a dict."""

    @staticmethod
    def parse(
        text: str,
        *,
        about: Mapping[str, Any] | None = None,
        limits: Limits = LIMITS,
        steps: int = STEPS,
        check: bool = True,
        functions: Declarations | None = None,
    ) -> Rule:
        """From its text.

        Parameters: `about`, name -> class, annotation, or dict of names, which the rule is checked against (default: it
        may be asked about anything); `limits`; the others as for `Rule`.
        Raises `RuleSyntaxError` with line, caret and what was expected; `RuleTypeError` for a name that is not there
        and types that do not fit; RuleError.
        """
        tree = parse(text, limits)
        if about is not None:
            check_types(tree, about, functions_with(functions), text, macros=MACROS if check else None)
        return Rule(tree, steps=steps, check=check, functions=functions)

    def evaluate(self, subjects: Mapping[str, Any] | None = None, /, **named: Any) -> Any:
        """The answer. Parameters: what the rule is asked about, in a dict, or by name.

        Raises `EvaluationError` where there is none, `BudgetExceeded` where it would take too long.
        """
        if named:
            subjects = {**subjects, **named} if subjects else named
        elif subjects.__class__ is not dict and subjects is not None and not isinstance(subjects, Mapping):
            raise RuleError(
                f"a rule is asked about subjects by name, not about a {type(subjects).__name__}: "
                "evaluate(order=order); what names the fields of one object is a Specification"
            )
        return self.answer(subjects or {})

    def explain(self, subjects: Mapping[str, Any] | None = None, /, **named: Any) -> Explanation:
        """Why that is the answer: each clause with its value, and which of them decided.

        Raises `BudgetExceeded` where it would take longer than four answers.
        """
        look = Looking({**(subjects or {}), **named}, self._functions, self._steps)
        return explained(self.tree, look, lambda path: look(tree_of_path(path)))

    @property
    def fields_used(self) -> frozenset[str]:
        """The fields of its subjects that the rule looks at, such as "order.total"."""
        return fields_used(self.tree)

    def to_json(self) -> dict[str, Any]:
        """The tree as objects of JSON."""
        return to_json(self.tree)

    @staticmethod
    def from_json(data: Any, *, steps: int = STEPS, check: bool = True, functions: Declarations | None = None) -> Rule:
        """From what `to_json` gave. Raises `RuleError` for anything else."""
        return Rule(from_json(data), steps=steps, check=check, functions=functions)

    def __str__(self) -> str:
        return to_text(self.tree)
