"""Why a rule answered as it did: each clause with its value, and the smallest set of clauses that decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from insula.rules.errors import EvaluationError
from insula.rules.text import to_text
from insula.rules.tree import Conditional, Connective, Node, Predicate, Unary
from insula.rules.usage import fields_used

_NO_NAMES: Mapping[Node, str] = MappingProxyType({})
Look = Callable[[Node], Any]
"""Answers a part of the rule for the subject that is explained."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One clause: its text, its value or why it has none, the clauses it is made of, and what its fields held."""

    text: str
    name: str = ""
    value: Any = None
    error: str = ""
    parts: tuple[Explanation, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    decided_by: tuple[Explanation, ...] = ()
    """The smallest set of clauses that alone make this value, whatever the others say; empty where it has no parts."""

    @property
    def reasons(self) -> tuple[Explanation, ...]:
        """The clauses that decided, this one itself where it has no parts."""
        return self.decided_by or (self,)

    def __str__(self) -> str:
        return "\n".join(_lines(self, 0, frozenset(map(id, self.reasons))))


def _lines(clause: Explanation, depth: int, decisive: frozenset[int]) -> list[str]:
    held = ", ".join(f"{name} is {_shown(value)}" for name, value in clause.fields.items())
    value = f"no answer: {clause.error}" if clause.error else _shown(clause.value)
    mark = "*" if id(clause) in decisive else " "
    said = f"{clause.name}, {clause.text}" if clause.name and clause.text else clause.name or clause.text
    line = f"{mark} {'  ' * depth}{said}: {value}{f'  ({held})' if held else ''}"
    return [line, *(each for part in clause.parts for each in _lines(part, depth + 1, decisive))]


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def explained(
    node: Node, look: Look, field_value: Callable[[str], Any], names: Mapping[Node, str] = _NO_NAMES
) -> Explanation:
    """Parameters: `look`, which answers a part; `field_value`, what a field with dots holds; `names` of some parts."""
    made_of = _clauses(node)
    parts = tuple(explained(each, look, field_value, names) for each in made_of)
    try:
        value, error = look(node), ""
    except EvaluationError as trouble:
        value, error = None, str(trouble)
    fields = {} if parts else {name: held for name in sorted(fields_used(node)) for held in _held(name, field_value)}
    text = _without_text(node, parts) if any(isinstance(each, Predicate) for each in node.walk()) else to_text(node)
    name = node.name if isinstance(node, Predicate) else names.get(node, "")
    return Explanation(text, name, value, error, parts, fields, _deciding(node, value, error, parts))


def _without_text(node: Node, parts: tuple[Explanation, ...]) -> str:
    """What a clause is called that has a plain predicate in it, which cannot be written."""
    called = [part.name or part.text for part in parts]
    if isinstance(node, Connective):
        return f" {node.operator} ".join(called)
    return f"!({called[0]})" if isinstance(node, Unary) and called else ""


def _held(name: str, field_value: Callable[[str], Any]) -> list[Any]:
    try:
        return [field_value(name)]
    except EvaluationError:
        return []


def _clauses(node: Node) -> tuple[Node, ...]:
    """What is answered by itself: conditions, but not the operands of a comparison."""
    if isinstance(node, Connective | Conditional) or (isinstance(node, Unary) and node.operator == "!"):
        return node.parts
    return ()


def _deciding(node: Node, value: Any, error: str, parts: tuple[Explanation, ...]) -> tuple[Explanation, ...]:
    if not parts:
        return ()
    if isinstance(node, Conditional):
        condition, then, otherwise = parts
        chosen = () if condition.error else (then if condition.value else otherwise).reasons
        return (*condition.reasons, *chosen)
    if isinstance(node, Connective) and not error and value is (node.operator == Connective.OR):
        alone = [part.reasons for part in parts if not part.error and part.value is value]
        return min(alone, key=len)
    if error:
        return next((part.reasons for part in parts if part.error), ())
    return tuple(reason for part in parts for reason in part.reasons)
