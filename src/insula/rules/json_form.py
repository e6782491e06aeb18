"""The tree as JSON, for those who store rules or draw them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from insula.rules import tree as nodes
from insula.rules.errors import RuleError
from insula.rules.tree import Assignment, Binary, Connective, Entry, ListOf, Literal, Node, Predicate, Unary, Value
from insula.rules.values import INT_MAX, INT_MIN, UINT_MAX, UInt

_DEEPEST = 100
_KINDS: dict[str, type[Node]] = {
    kind.__name__: kind
    for kind in vars(nodes).values()
    if isinstance(kind, type) and issubclass(kind, Node) and kind not in (Node, Predicate)
}


def to_json(node: Node) -> dict[str, Any]:
    """The tree as objects of JSON, each with its `kind`. Integers are text: JSON's own are not exact everywhere."""
    if isinstance(node, Literal):
        return {"kind": "Literal", **_written(node.value)}
    if isinstance(node, Predicate):
        raise RuleError(f"{node.name} is a plain predicate: it can be answered, but not be written as JSON")
    found: dict[str, Any] = {"kind": type(node).__name__}
    for each in fields(node):
        value = getattr(node, each.name)
        if each.name != "at" and value is not None:
            found[each.name] = _part(value)
    return found


def _part(value: Any) -> Any:
    if isinstance(value, Node):
        return to_json(value)
    if isinstance(value, tuple):
        return [to_json(each) for each in value]
    return sorted(value) if isinstance(value, frozenset) else value


def _written(value: Value) -> dict[str, Any]:
    if value is None:
        return {"null": None}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, float):
        return {"double": value}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"uint" if isinstance(value, UInt) else "int": str(int(value))}
    return {"bool" if isinstance(value, bool) else "string": value}


def from_json(data: Any) -> Node:
    """The tree again. Raises `RuleError` for what is none."""
    return _part_of(data, None, 0)


def _node(data: Any, depth: int) -> Node:
    if depth > _DEEPEST:
        raise RuleError(f"a rule in JSON is nested no deeper than {_DEEPEST}")
    if not isinstance(data, Mapping):
        raise RuleError(f"a rule in JSON is made of objects; found {type(data).__name__}")
    kind = _KINDS.get(str(data.get("kind")))
    if kind is None:
        raise RuleError(f"a rule in JSON has no part of kind {data.get('kind')!r}")
    if kind is Literal:
        return Literal(_read(data))
    arguments: dict[str, Any] = {}
    for each in fields(kind):
        if each.name != "at" and each.name in data:
            arguments[each.name] = _field(kind, each.name, data[each.name], depth)
    try:
        return kind(**arguments)
    except TypeError as error:
        raise RuleError(f"a rule in JSON: {kind.__name__}: {error}") from None


_TEXTS = frozenset(("name", "field", "function", "type_name"))
_SEVERAL: dict[str, type[Node] | None] = {
    "operands": None, "arguments": None, "elements": None, "entries": Entry, "assignments": Assignment,
}  # fmt: skip
_OPERATORS: dict[type[Node], frozenset[str]] = {
    Unary: frozenset("!-"),
    Connective: frozenset((Connective.AND, Connective.OR)),
    Binary: frozenset(["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "in"]),
}


def _field(kind: type[Node], name: str, value: Any, depth: int) -> Any:
    if name == "operator":
        fits = value in _OPERATORS[kind] if isinstance(value, str) else False
    elif name == "optional" and kind is ListOf:
        if fits := isinstance(value, list) and all(type(each) is int for each in value):
            value = frozenset(value)
    elif name in _SEVERAL:
        if fits := isinstance(value, list):
            value = tuple(_part_of(each, _SEVERAL[name], depth) for each in value)
    elif fits := isinstance(value, Mapping):
        value = _part_of(value, None, depth)
    else:
        fits = isinstance(value, str if name in _TEXTS else bool) and name not in _NODES
    if not fits:
        raise RuleError(f"a rule in JSON: {kind.__name__}.{name} cannot be {value!r:.40}")
    return value


_NODES = frozenset(("of", "key", "target", "operand", "left", "right", "condition", "then", "otherwise", "value"))


def _part_of(data: Any, kind: type[Node] | None, depth: int) -> Node:
    """A part: an expression, or what only this list may have."""
    found = _node(data, depth + 1)
    if (type(found) is not kind) if kind else isinstance(found, Entry | Assignment):
        raise RuleError(f"a rule in JSON: a {type(found).__name__} cannot stand there")
    return found


def _read(data: Mapping[str, Any]) -> Value:
    for name, value in data.items():
        reader = _READERS.get(name)
        if reader is not None:
            try:
                return reader(value)  # type: ignore[no-any-return]
            except (TypeError, ValueError):
                break
    raise RuleError(f"a rule in JSON: {dict(data)!r:.60} is no value")


def _integer(value: str, least: int, most: int) -> int:
    found = int(value) if len(value) < 25 else most + 1
    if not least <= found <= most:
        raise ValueError
    return found


def _of(kind: type) -> Any:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return read


_READERS: dict[str, Any] = {
    "null": _of(type(None)),
    "bool": _of(bool),
    "string": _of(str),
    "double": lambda value: float(value) if type(value) in (int, float) else _of(float)(value),
    "int": lambda value: _integer(value, INT_MIN, INT_MAX),
    "uint": lambda value: UInt(_integer(value, 0, UINT_MAX)),
    "bytes": lambda value: base64.b64decode(value, validate=True),
}
