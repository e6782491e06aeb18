"""Fields of a class, as the beginnings of conditions: `fields(Order).total >= 100`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, NoReturn, TypeVar

from insula.rules.errors import RuleError, did_you_mean
from insula.rules.field_checks import check_fields
from insula.rules.specification import Specification
from insula.rules.text import to_text
from insula.rules.tree import Binary, Call, ListOf, Literal, Name, Node, Select
from insula.rules.types import BOOL, class_of, type_of_annotation
from insula.rules.usage import dotted

Subject = TypeVar("Subject")


class FieldError(RuleError):
    """A class has no field of that name."""


def fields(kind: type[Subject]) -> Fields[Subject]:
    """The fields of a class with annotations: a message, a Struct, a dataclass, or any other.

    Raises `FieldError` where one is named that the class does not have, and `RuleTypeError` with the line of the
    program where one is compared with what its annotation does not allow.
    """
    return Fields(class_of(kind, "fields"))


class Fields(Generic[Subject]):
    """The fields of a class, by attribute, or by name in brackets. Parameters: `kind`, the class."""

    def __init__(self, kind: type[Subject]) -> None:
        self._kind = kind

    def __getitem__(self, name: str) -> Field[Subject]:
        found = _type_of_field(self._kind, name)
        return Field(self._kind, Name(name), found, {name: found})

    def __getattr__(self, name: str) -> Field[Subject]:
        return self[name]


class Field(Generic[Subject]):
    """One field; its own fields are attributes, those called as a method is stand in brackets: `order.box["size"]`.

    Comparing it with a value, or with a field, makes a condition.
    """

    __hash__ = None  # type: ignore[assignment]  # equality makes a condition

    def __init__(self, kind: type[Subject], node: Node, field_type: Any, declared: Mapping[str, Any]) -> None:
        self._kind = kind
        self._node = node
        self._type = field_type
        self._declared = declared

    def __getattr__(self, name: str) -> Field[Subject]:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Field[Subject]:
        if not isinstance(name, str):
            raise FieldError(f"a field is named by a text, not by {name!r:.60}; ask for an element with contains(...)")
        node, found = Select(self._node, name), _type_of_field(self._type, name)
        return Field(self._kind, node, found, {dotted(node) or "": found})

    def _condition(self, node: Node, *others: object) -> Specification[Subject]:
        """What the node says, if types allow it. Parameters: `others`, which may be fields too."""
        declared = dict(self._declared)
        for each in others:
            if isinstance(each, Field):
                declared |= self._declared_by(each)
        check_fields(node, self._kind, declared)
        return Specification(node)

    def _declared_by(self, other: Field[Any]) -> Mapping[str, Any]:
        """What its class says of another field. Raises `FieldError` where that is not about the same object."""
        kinds = (self._kind, other._kind)
        if self._kind is not other._kind and not _are_kin(*kinds):
            shown = " and ".join(getattr(each, "__name__", str(each)) for each in kinds)
            raise FieldError(f"{to_text(self._node)} and {to_text(other._node)} are fields of {shown}; ask about one")
        return other._declared

    def _compared(self, operator: str, other: object) -> Specification[Subject]:
        return self._condition(Binary(operator, self._node, _node_of(other)), other)

    def __eq__(self, other: object) -> Specification[Subject]:  # type: ignore[override]
        return self._compared("==", other)

    def __ne__(self, other: object) -> Specification[Subject]:  # type: ignore[override]
        return self._compared("!=", other)

    def __lt__(self, other: object) -> Specification[Subject]:
        return self._compared("<", other)

    def __le__(self, other: object) -> Specification[Subject]:
        return self._compared("<=", other)

    def __gt__(self, other: object) -> Specification[Subject]:
        return self._compared(">", other)

    def __ge__(self, other: object) -> Specification[Subject]:
        return self._compared(">=", other)

    def is_in(self, values: Iterable[object]) -> Specification[Subject]:
        """It is one of these, or an element of a field that holds many."""
        if isinstance(values, Field):
            return self._condition(Binary("in", self._node, _node_of(values)), values)
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise RuleError(
                f"is_in({values!r:.60}): give a list, such as is_in([{values!r:.60}]); "
                "what is part of a text is asked for with contains(...)"
            )
        several = tuple(values)
        for each in several:  # one of a wrong type would be looked for in vain
            self._compared("==", each)
        return self._condition(Binary("in", self._node, ListOf(tuple(map(_node_of, several)))), *several)

    def contains(self, part: object) -> Specification[Subject]:
        """A text has this in it, or a list this element."""
        if isinstance(part, str) and type_of_annotation(self._type).name not in ("list", "map"):
            return self._condition(Call("contains", (Literal(part),), self._node))
        return self._condition(Binary("in", _node_of(part), self._node), part)

    def starts_with(self, beginning: str) -> Specification[Subject]:
        """A text begins so."""
        return self._asked("startsWith", beginning)

    def ends_with(self, ending: str) -> Specification[Subject]:
        """A text ends so."""
        return self._asked("endsWith", ending)

    def matches(self, pattern: str) -> Specification[Subject]:
        """The pattern, of RE2, is found in a text."""
        return self._asked("matches", pattern)

    def _asked(self, function: str, text: str) -> Specification[Subject]:
        return self._condition(Call(function, (_node_of(text),), self._node), text)

    def is_true(self) -> Specification[Subject]:
        """The field itself is the condition."""
        return self._condition(self._node)

    def is_missing(self) -> Specification[Subject]:
        """It holds None."""
        return self._condition(Binary("==", self._node, Literal(None)))

    @property
    def size(self) -> Field[Subject]:
        """How many characters or elements it has."""
        node = Call("size", (self._node,))
        check_fields(node, self._kind, self._declared, condition=False)
        return Field(self._kind, node, int, self._declared)

    def _combined(self, other: object) -> NoReturn:
        written = to_text(self._node)
        is_bool = type_of_annotation(self._type) == BOOL
        if is_bool or isinstance(other, Specification):
            then = f"write {written}.is_true()" if is_bool else "compare it"
            raise TypeError(f"{written} is a field and no condition yet: {then}, in parentheses, before & or |")
        raise TypeError("& and | bind more strongly than a comparison: write (order.total > 3) & (order.total < 5)")

    __and__ = __rand__ = __or__ = __ror__ = _combined

    def __invert__(self) -> NoReturn:
        raise TypeError(f"{to_text(self._node)} is a field and no condition yet: write ~ before one, or is_true()")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{to_text(self._node)} is a field and holds nothing yet: x in it is written contains(x)")

    def __contains__(self, part: object) -> NoReturn:
        iter(self)
        raise AssertionError

    def __bool__(self) -> NoReturn:
        raise TypeError("a field is no condition: compare it, or ask is_true()")


def _are_kin(one: Any, other: Any) -> bool:
    return isinstance(one, type) and isinstance(other, type) and (issubclass(one, other) or issubclass(other, one))


def _node_of(value: object) -> Node:
    """A value as part of a rule."""
    if isinstance(value, Field):
        return value._node  # noqa: SLF001  # of the same class
    if isinstance(value, Enum):
        return _node_of(value.value)
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return Literal(value)
    if isinstance(value, Decimal) and value.is_finite():
        return Literal(float(value))  # as a rule sees one in a subject
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise RuleError(f"{value.isoformat()} has no time zone: which moment it is depends on the place")
        return Call("timestamp", (Literal(value.isoformat()),))
    if isinstance(value, timedelta):
        microseconds = value // timedelta(microseconds=1)
        text = f"{'-' if microseconds < 0 else ''}{abs(microseconds) // 10**6}.{abs(microseconds) % 10**6:06d}s"
        return Call("duration", (Literal(text),))
    if hasattr(value, "isoformat"):
        return Literal(str(value.isoformat()))
    raise RuleError(f"a {type(value).__name__} cannot stand in a rule; give a number, a text, a moment or a field")


def _type_of_field(kind: Any, name: str) -> Any:
    """The declared type of a field, Any where nothing is declared. Raises `FieldError`."""
    kind = _without_none(kind)
    if not isinstance(kind, type) or issubclass(kind, Mapping) or kind in (object, str, int, float, bool, bytes):
        if isinstance(kind, type) and kind in (str, int, float, bool, bytes):
            raise FieldError(f"a {kind.__name__} has no field {name}")
        return Any
    declared = typing.get_type_hints(kind)
    if name in declared:
        return declared[name]
    if isinstance(getattr(kind, name, None), property):
        return Any
    if not declared and not dataclasses.is_dataclass(kind):
        return Any
    raise FieldError(f"{kind.__name__} has no field {name}{did_you_mean(name, declared)}")


def _without_none(kind: Any) -> Any:
    others = [each for each in typing.get_args(kind) if each is not type(None)]
    return others[0] if len(others) == 1 and type(None) in typing.get_args(kind) else kind
