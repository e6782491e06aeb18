"""The expression tree: what a rule says, and nothing about how it is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

Value = None | bool | int | float | str | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Part of an expression. `at` is where it begins in the text that it was read from, which makes no difference."""

    at: int = field(default=0, compare=False, repr=False)

    @property
    def parts(self) -> tuple[Node, ...]:
        """The nodes directly below, in the order of the text."""
        return ()

    def walk(self) -> Iterator[Node]:
        """This node and all below it, each before its parts."""
        waiting: list[Node] = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.parts))


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A value that stands in the text: None, bool, int, `UInt`, float, str or bytes."""

    value: bool | int | float | str | bytes | None

    def __eq__(self, other: object) -> bool:
        """Equal only when of one type: 1, 1u, 1.0 and true are four rules. A number that is none equals itself."""
        if not isinstance(other, Literal):
            return NotImplemented
        return self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[type, object]:
        value = self.value
        return type(value), value.hex() if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable, or a part of a longer name. `absolute` where a dot stands before it."""

    name: str
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Select(Node):
    """A field: `of.field`, or `of.?field`, which is none where it is missing."""

    of: Node
    field: str
    optional: bool = False

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.of,)


@dataclass(frozen=True, slots=True)
class Index(Node):
    """An element or entry: `of[key]`, or `of[?key]`."""

    of: Node
    key: Node
    optional: bool = False

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.of, self.key)


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function or macro: `function(arguments)`, or `target.function(arguments)`."""

    function: str
    arguments: tuple[Node, ...] = ()
    target: Node | None = None
    absolute: bool = False

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.arguments if self.target is None else (self.target, *self.arguments)


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`!operand` or `-operand`."""

    operator: str
    operand: Node

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic, a comparison, or `in`."""

    operator: str
    left: Node
    right: Node

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Connective(Node):
    """Two or more operands between `&&` or `||`. Those of a chain stand side by side, however long it is."""

    operator: str
    operands: tuple[Node, ...]

    AND: ClassVar = "&&"
    OR: ClassVar = "||"

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.operands


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """`condition ? then : otherwise`."""

    condition: Node
    then: Node
    otherwise: Node

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.condition, self.then, self.otherwise)


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """`[elements]`. `optional` are the numbers of those that are left out where they are none."""

    elements: tuple[Node, ...] = ()
    optional: frozenset[int] = frozenset()

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.elements


@dataclass(frozen=True, slots=True)
class Entry(Node):
    """`key: value` of a map; `optional` where it is left out when the value is none."""

    key: Node
    value: Node
    optional: bool = False

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.key, self.value)


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """`{entries}`."""

    entries: tuple[Entry, ...] = ()

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.entries


@dataclass(frozen=True, slots=True)
class Assignment(Node):
    """`field: value` of a message; `optional` where it is left out when the value is none."""

    field: str
    value: Node
    optional: bool = False

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class MessageOf(Node):
    """`Type{assignments}`. `type_name` may begin with a dot."""

    type_name: str
    assignments: tuple[Assignment, ...] = ()

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.assignments


@dataclass(frozen=True, slots=True)
class Predicate(Node):
    """A plain function of what the rule is asked about. It can be answered, and neither be written nor become SQL."""

    name: str
    function: Callable[[Any], bool]
