"""Writes an expression tree as CEL, with no more parentheses than it needs. Reading it gives the same tree."""

from __future__ import annotations

import re
from functools import singledispatch

from insula.rules.errors import RuleError
from insula.rules.literals import write
from insula.rules.tree import (
    Assignment,
    Binary,
    Call,
    Conditional,
    Connective,
    Entry,
    Index,
    ListOf,
    Literal,
    MapOf,
    MessageOf,
    Name,
    Node,
    Predicate,
    Select,
    Unary,
)

_CONDITIONAL, _OR, _AND, _RELATION, _SUM, _PRODUCT, _UNARY, _MEMBER = range(8)
_BINARY = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT}
_PLAIN = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")


def to_text(node: Node) -> str:
    """The tree as CEL."""
    return _text(node)


def _binding(node: Node) -> int:
    """How strongly an expression holds together."""
    if isinstance(node, Conditional):
        return _CONDITIONAL
    if isinstance(node, Connective):
        return _AND if node.operator == Connective.AND else _OR
    if isinstance(node, Binary):
        return _BINARY.get(node.operator, _RELATION)
    if isinstance(node, Unary) or (isinstance(node, Literal) and _begins_with_minus(node)):
        return _UNARY
    return _MEMBER


def _begins_with_minus(node: Literal) -> bool:
    return isinstance(node.value, int | float) and write(node.value).startswith("-")


def _within(node: Node, least: int) -> str:
    """The text of a part, in parentheses where it holds less strongly than its place asks for."""
    text = _text(node)
    return text if _binding(node) >= least else f"({text})"


@singledispatch
def _text(node: Node) -> str:
    raise TypeError(f"{type(node).__name__} is no part of an expression")


@_text.register
def _(node: Literal) -> str:
    return write(node.value)


@_text.register
def _(node: Name) -> str:
    return f".{node.name}" if node.absolute else node.name


@_text.register
def _(node: Select) -> str:
    return f"{_target(node.of)}.{'?' if node.optional else ''}{_field(node.field)}"


@_text.register
def _(node: Index) -> str:
    return f"{_target(node.of)}[{'?' if node.optional else ''}{_text(node.key)}]"


@_text.register
def _(node: Call) -> str:
    before = "." if node.absolute else "" if node.target is None else f"{_target(node.target)}."
    return f"{before}{node.function}({_listed(node.arguments)})"


def _target(node: Node) -> str:
    """What a dot or bracket follows. A negative number stands there without parentheses: its minus belongs to it."""
    return _text(node) if isinstance(node, Literal) else _within(node, _MEMBER)


@_text.register
def _(node: Unary) -> str:
    operand = _within(node.operand, _UNARY)
    # A minus before a number would become a part of it.
    if node.operator == "-" and _first_literal(node.operand) and not operand.startswith(("(", "-")):
        operand = f"({operand})"
    return f"{node.operator}{operand}"


def _first_literal(node: Node) -> bool:
    """Whether the text of a node begins with a number."""
    while True:
        if isinstance(node, Select | Index):
            node = node.of
        elif isinstance(node, Call) and node.target is not None:
            node = node.target
        else:
            return (
                isinstance(node, Literal) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
            )


@_text.register
def _(node: Binary) -> str:
    binding = _binding(node)
    return f"{_within(node.left, binding)} {node.operator} {_within(node.right, binding + 1)}"


@_text.register
def _(node: Connective) -> str:
    binding = _binding(node)
    return f" {node.operator} ".join(_within(each, binding + 1) for each in node.operands)


@_text.register
def _(node: Conditional) -> str:
    condition, then = _within(node.condition, _OR), _within(node.then, _OR)
    return f"{condition} ? {then} : {_text(node.otherwise)}"


@_text.register
def _(node: ListOf) -> str:
    elements = (f"?{_text(each)}" if at in node.optional else _text(each) for at, each in enumerate(node.elements))
    return f"[{', '.join(elements)}]"


@_text.register
def _(node: MapOf) -> str:
    return f"{{{_listed(node.entries)}}}"


@_text.register
def _(node: Entry) -> str:
    return f"{'?' if node.optional else ''}{_text(node.key)}: {_text(node.value)}"


@_text.register
def _(node: MessageOf) -> str:
    return f"{node.type_name}{{{_listed(node.assignments)}}}"


@_text.register
def _(node: Predicate) -> str:
    raise RuleError(f"{node.name} is a plain predicate: it can be answered, but not be written as text")


@_text.register
def _(node: Assignment) -> str:
    return f"{'?' if node.optional else ''}{_field(node.field)}: {_text(node.value)}"


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(_text(each) for each in nodes)


def _field(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"`{name}`"
