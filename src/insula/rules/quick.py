"""A rule as one Python expression, for subjects that look as most do; it gives up for all others.

Comparing what a few fields of dicts hold is nearly all that rules do. Written as Python it costs little more than a
lambda. Wherever a value is not of a type for which Python answers as CEL does, and wherever anything fails, the rule is
answered again by its steps (`evaluation`), which know every case. A rule has no effects, so nobody sees that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from keyword import iskeyword
from typing import Any

from insula.rules.tree import Binary, Conditional, Connective, ListOf, Literal, Name, Node, Select, Unary, Value
from insula.rules.values import INT_MAX, INT_MIN

Answer = Callable[[Any], Any]

_EXACT = 2**53
"""Below it a double and an int are compared alike, whether as doubles or exactly."""

_ORDERED = frozenset((int, float, str))
_COMPARABLE = _ORDERED | {bool}
_ORDERS = frozenset(("<", "<=", ">", ">="))
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


class _NotSimple(Exception):
    """The expression is none that is worth writing as Python."""


class _Later(Exception):
    """A value for which the steps are to answer."""


def _later() -> Any:
    raise _Later


def quickly(tree: Node, slowly: Callable[[Any], Any], *, of_one: bool = False) -> Answer:
    """A function that answers a rule; `slowly` itself where the rule is none of the simple ones.

    Parameters: `of_one`, whether it is about one object whose fields it names, instead of a dict of subjects.
    """
    try:
        expression = _Writer(of_one=of_one).value(tree)
    except _NotSimple:
        return slowly
    lines = (
        "def answer(subjects):",
        "    try:",
        f"        return {expression}",
        "    except Exception:",
        "        return slowly(subjects)",
    )
    scope: dict[str, Any] = {"slowly": slowly, "later": _later, "ordered": _ORDERED, "comparable": _COMPARABLE}
    exec(compile("\n".join(lines), "<rule>", "exec"), scope)  # noqa: S102  # texts of the rule are in it as their repr
    answer: Answer = scope["answer"]
    return answer


class _Writer:
    """Writes Python. Texts of the rule go into it as constants of Python, numbers and names of fields too."""

    def __init__(self, *, of_one: bool) -> None:
        self._of_one = of_one
        self._variables = 0
        self._read: dict[tuple[str, ...], str] = {}
        """Fields that have certainly been read at this place -> the variable that holds what was found."""

    def value(self, node: Node) -> str:
        """An expression with the node's value, of whatever type."""
        if isinstance(node, Literal):
            return _constant(node.value)
        if isinstance(node, Connective | Unary | Binary):
            return self.truth(node)
        if isinstance(node, Conditional):
            condition, then, otherwise = self._in_turn(
                self.truth, self.value, (node.condition, node.then, node.otherwise)
            )
            return f"({then} if {condition} else {otherwise})"
        raise _NotSimple  # a field alone may be of any type, and has to be looked at

    def truth(self, node: Node) -> str:
        """An expression that is True or False."""
        if isinstance(node, Connective):
            word = " and " if node.operator == Connective.AND else " or "
            return f"({word.join(self._in_turn(self.truth, self.truth, node.operands))})"
        if isinstance(node, Unary) and node.operator == "!":
            return f"(not {self.truth(node.operand)})"
        if isinstance(node, Binary):
            return self._comparison(node)
        if isinstance(node, Literal) and node.value.__class__ is bool:
            return str(node.value)
        if isinstance(node, Select | Name):
            read, name = self._field(node)
            return f"({name} if {read}.__class__ is bool else later())"
        raise _NotSimple

    def _in_turn(self, first: Callable[[Node], str], other: Callable[[Node], str], nodes: Sequence[Node]) -> list[str]:
        """The first is always answered, the others perhaps: what they read may not have been read later."""
        written = [first(nodes[0])]
        for node in nodes[1:]:
            before = dict(self._read)
            written.append(other(node))
            self._read = before
        return written

    def _comparison(self, node: Binary) -> str:
        operator, left, right = node.operator, node.left, node.right
        if operator == "in":
            return self._membership(left, right)
        if operator not in _MIRRORED:
            raise _NotSimple
        if isinstance(left, Literal) and not isinstance(right, Literal):
            operator, left, right = _MIRRORED[operator], right, left
        if not isinstance(right, Literal):
            return self._between_fields(operator, left, right)
        return self._with_literal(operator, left, right.value)

    def _with_literal(self, operator: str, left: Node, value: Value) -> str:
        read, name = self._field(left)
        constant, kind = _constant(value), value.__class__
        if kind is str and operator == "==":
            # What is no text may be the member of an enumeration, or be equal to whatever it is compared with.
            return f"({name} == {constant} if {read}.__class__ is str else later())"
        if isinstance(value, int | float) and kind in (int, float) and abs(value) < _EXACT:
            if kind is float:
                guard = f"{read}.__class__ is float or ({name}.__class__ is int and {_fits(name)})"
            else:
                guard = f"({read}.__class__ is int and {_fits(name)}) or {name}.__class__ is float"
        elif kind is str or (kind is bool and operator in ("==", "!=")):
            guard = f"{read}.__class__ is {kind.__name__}"
        else:
            raise _NotSimple
        return f"({name} {operator} {constant} if {guard} else later())"

    def _between_fields(self, operator: str, left: Node, right: Node) -> str:
        (read, first), (read_second, second) = self._field(left), self._field(right)
        kinds = "ordered" if operator in _ORDERS else "comparable"
        alike = f"{read}.__class__ is {read_second}.__class__ and {first}.__class__ in {kinds}"
        guard = f"{alike} and ({first}.__class__ is not int or ({_fits(first)} and {_fits(second)}))"
        return f"({first} {operator} {second} if {guard} else later())"

    def _membership(self, left: Node, right: Node) -> str:
        if not isinstance(right, ListOf) or right.optional or not right.elements:
            raise _NotSimple
        texts = [each.value for each in right.elements if isinstance(each, Literal) and each.value.__class__ is str]
        if len(texts) < len(right.elements):
            raise _NotSimple
        read, name = self._field(left)
        return f"({name} in {{{', '.join(map(_constant, texts))}}} if {read}.__class__ is str else later())"

    def _field(self, node: Node) -> tuple[str, str]:
        """How a field of a subject is read, and the variable that holds it then."""
        names = list[str]()
        while isinstance(node, Select) and not node.optional:
            names.append(node.field)
            node = node.of
        if not isinstance(node, Name) or node.absolute:
            raise _NotSimple
        path = (node.name, *reversed(names))
        if (known := self._read.get(path)) is not None:
            return known, known
        self._variables += 1
        name = self._read[path] = f"value{self._variables}"
        return f"({name} := {self._place(path)})", name

    def _place(self, path: tuple[str, ...]) -> str:
        if not self._of_one:
            return "subjects" + "".join(f"[{each!r}]" for each in path)
        if not all(each.isidentifier() and each[0] != "_" and not iskeyword(each) for each in path):
            raise _NotSimple
        return ".".join(("subjects", *path))


def _fits(name: str) -> str:
    """A condition that a whole number has 64 bits; others have no answer."""
    return f"{INT_MIN} <= {name} <= {INT_MAX}"


def _constant(value: Value) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise _NotSimple
    if value.__class__ not in (str, int, float, bool):
        raise _NotSimple
    return repr(value)
