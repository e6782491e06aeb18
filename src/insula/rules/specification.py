"""A condition on one kind of object, which can be combined, asked, explained, written, and become a filter in SQL.

Source: Evans and Fowler, "Specifications".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from insula.rules.checking import check
from insula.rules.errors import NoOverload, RuleError, RuleTypeError
from insula.rules.explanation import Explanation, explained
from insula.rules.functions.declared import Declarations, named_functions
from insula.rules.macros import MACROS
from insula.rules.parser import LIMITS, Limits, parse
from insula.rules.preparing import Looking, functions_with, ready
from insula.rules.quick import quickly
from insula.rules.rule import Rule
from insula.rules.sql import to_sql
from insula.rules.subjects import FieldsOf
from insula.rules.text import to_text
from insula.rules.tree import Connective, Node, Predicate, Unary
from insula.rules.types import BOOL, DYN, class_of, fields_of
from insula.rules.usage import fields_used, tree_of_path
from insula.rules.values import named

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, FromClause
    from sqlalchemy.orm import QueryableAttribute

Subject = TypeVar("Subject")


class Specification(Generic[Subject]):
    """A condition. Call it with an object: `eligible(order)`. Combine it with `&`, `|` and `~`.

    Parameters: `tree`, what it says, which names the fields of the object; `names`, what some of its parts are called;
    `functions`, what it may call beside CEL's, as for `Rule`.
    """

    def __init__(
        self, tree: Node, names: Mapping[Node, str] | None = None, *, functions: Declarations | None = None
    ) -> None:
        self.tree = tree
        self._names = dict(names or {})
        self._functions = dict(named_functions(functions))

    @staticmethod
    def parse(
        text: str,
        kind: type[Subject] | None = None,
        *,
        limits: Limits = LIMITS,
        functions: Declarations | None = None,
    ) -> Specification[Subject]:
        """From CEL that names the fields of the object: "total >= 100".

        Parameters: `kind`, the class that it is checked against (default: any); `functions`, as for `Rule`.
        Raises `RuleSyntaxError`, `RuleTypeError`, `RuleError`.
        """
        tree = parse(text, limits)
        if kind is not None:
            known = fields_of(kind if isinstance(kind, Mapping) else class_of(kind, "Specification.parse"))
            answer = check(tree, known, functions_with(functions), text, macros=MACROS)
            if answer not in (BOOL, DYN):
                raise RuleTypeError(text, tree.at, f"it is a {answer} and no condition; compare it with something")
        found: Specification[Subject] = Specification(tree, functions=functions)
        _ = found._answer  # what can never be answered is told now
        return found

    @staticmethod
    def of(predicate: Callable[[Subject], bool], name: str = "") -> Specification[Subject]:
        """From a plain function. It cannot be written as text nor become SQL, and neither can what it is part of."""
        return Specification(Predicate(name or getattr(predicate, "__name__", "predicate"), predicate))

    def named(self, name: str) -> Specification[Subject]:
        """The same, called so in explanations."""
        return Specification(self.tree, {**self._names, self.tree: name}, functions=self._functions)

    # -- combining

    def __and__(self, other: Specification[Subject]) -> Specification[Subject]:
        return self._with(Connective.AND, other)

    def __or__(self, other: Specification[Subject]) -> Specification[Subject]:
        return self._with(Connective.OR, other)

    def __rand__(self, other: object) -> NoReturn:
        raise _not_combined(other)

    __ror__ = __rand__

    def __invert__(self) -> Specification[Subject]:
        return Specification(Unary("!", self.tree), self._names, functions=self._functions)

    def _with(self, operator: str, other: object) -> Specification[Subject]:
        if not isinstance(other, Specification):
            raise _not_combined(other)
        return self._joined(operator, other)

    def _joined(self, operator: str, other: Specification[Subject]) -> Specification[Subject]:
        operands = (*self._operands(operator), *other._operands(operator))
        return Specification(
            Connective(operator, operands), {**self._names, **other._names}, functions=self._functions_with(other)
        )

    def _functions_with(self, other: Specification[Any]) -> Declarations:
        for name, function in other._functions.items():
            if self._functions.get(name, function) != function:
                raise RuleError(f"two specifications that are combined call different functions {name}; rename one")
        return {**self._functions, **other._functions}

    def _operands(self, operator: str) -> tuple[Node, ...]:
        """Those of a chain stand side by side, as when it is read from text; one that has a name stays whole."""
        tree = self.tree
        if isinstance(tree, Connective) and tree.operator == operator and tree not in self._names:
            return tree.operands
        return (tree,)

    def and_(self, other: Specification[Subject]) -> Specification[Subject]:
        """Both hold."""
        return self & other

    def or_(self, other: Specification[Subject]) -> Specification[Subject]:
        """One of them holds, or both."""
        return self | other

    def not_(self) -> Specification[Subject]:
        """It does not hold."""
        return ~self

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a specification is neither true nor false: combine it with & | ~ instead of and, or, not; "
            "is_in stands for in, and two comparisons for 1 < x < 2"
        )

    # -- asking

    @cached_property
    def _answer(self) -> Callable[[Any], Any]:
        step = ready(self.tree, functions=functions_with(self._functions))
        return quickly(self.tree, lambda subject: step(FieldsOf(subject)), of_one=True)

    def is_satisfied_by(self, subject: Subject) -> bool:
        """Whether the object fulfils it. Raises `EvaluationError` where that cannot be said."""
        answer = self._answer(subject)
        if answer.__class__ is not bool:
            raise NoOverload(f"a specification answers with a bool, not with {named(answer)}")
        return bool(answer)

    __call__ = is_satisfied_by

    def explain(self, subject: Subject) -> Explanation:
        """Which clauses decided, and with which values."""
        look = Looking(FieldsOf(subject), functions_with(self._functions))
        return explained(self.tree, look, lambda path: look(tree_of_path(path)), self._names)

    # -- other forms

    def to_sql(
        self,
        columns: FromClause | type[Any] | Mapping[str, ColumnElement[Any] | QueryableAttribute[Any]],
        *,
        naive_is_utc: bool = False,
    ) -> ColumnElement[bool]:
        """As a filter: true for the same rows, false or NULL for all others.

        Parameters: `columns`, a table or a class that is mapped to one, whose columns are called as the fields are, or
        field -> column; `naive_is_utc`, whether datetimes that a database keeps without a time zone, as SQLite does
        with all of them, are those of UTC (default: they are refused).
        Raises `RuleError` that names what SQL would answer differently; what only one database answers differently is
        refused when the statement is compiled for it.
        """
        return to_sql(self.tree, columns, naive_is_utc=naive_is_utc)

    def to_cel(self) -> str:
        """As text. Raises `RuleError` where a plain predicate is part of it."""
        return to_text(self.tree)

    __str__ = to_cel

    @property
    def fields_used(self) -> frozenset[str]:
        """The fields of the object that it looks at."""
        return fields_used(self.tree)


def _not_combined(other: object) -> TypeError:
    """What to say of that with which a specification cannot be combined."""
    if isinstance(other, bool):
        then = "an answer is no condition; leave it out, or combine the conditions before they are asked"
    elif isinstance(other, Rule):
        then = f"a rule is about subjects by name; write it as Specification.parse({str(other)!r:.60})"
    elif hasattr(type(other), "is_true"):
        then = "a field is no condition yet; compare it, or ask is_true()"
    elif callable(other):
        then = "a function becomes one by Specification.of(function)"
    else:
        then = "give a comparison of fields, or Specification.parse(text)"
    return TypeError(f"a specification is combined with a specification and not with a {type(other).__name__}: {then}")
