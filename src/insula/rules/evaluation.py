"""Makes a tree ready to be answered: a function for each node. Source: cel-spec, `langdef.md`, "Evaluation"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from insula.rules.arithmetic import OPERATORS, negated
from insula.rules.errors import WORDS_OF_CEL, EvaluationError, NoOverload, RuleError
from insula.rules.frame import Frame, Step
from insula.rules.functions.registry import Function, Functions, missing_function
from insula.rules.subjects import SCALARS, element_of, field_of, maybe, value_of
from insula.rules.tree import (
    Binary,
    Call,
    Conditional,
    Connective,
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
from insula.rules.usage import dotted, is_absolute
from insula.rules.values import (
    NONE,
    TYPES,
    OptionalValue,
    Spend,
    contains,
    equal,
    greater,
    greater_or_equal,
    less,
    less_or_equal,
    map_key,
    named,
)

Macro = Callable[["Preparation", Call], Step | None]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    "<=": less_or_equal,
    ">": greater,
    ">=": greater_or_equal,
    "in": contains,
}
_DEEP_COMPARISONS: dict[str, Callable[[Any, Any, Spend], bool]] = {
    "==": equal,
    "!=": lambda left, right, spend: not equal(left, right, spend),
    "in": contains,
}
_HOLDING = frozenset((list, dict, OptionalValue))


class Preparation:
    """Turns the nodes of one rule into steps.

    Parameters: `functions` and `macros` by name; `strict`, whether a function that there is not is found now, or only
    where the answer needs it.
    """

    def __init__(self, functions: Functions, macros: Mapping[str, Macro], *, strict: bool = True) -> None:
        self._functions = functions
        self._macros = macros
        self._strict = strict
        self._locals: dict[str, int] = {}
        self.slots = 0

    def value(self, node: Node) -> Step:
        """A step that answers with a value."""
        kind = type(node)
        if kind is Name or kind is Select or kind is Index:
            look = self.part(node)
            return look if isinstance(node, Name) and self._is_local(node) else _taken(look)
        prepare = _NODES.get(kind)
        if prepare is None:
            raise RuleError(f"{kind.__name__} is no expression")
        return prepare(self, node)

    def part(self, node: Node) -> Step:
        """A step that answers with a part of a subject as it is; the fields that nobody asks for are not looked at."""
        if isinstance(node, Select):
            return self._select(node)
        if isinstance(node, Index):
            return self._index(node)
        if isinstance(node, Name):
            return self._variable(node.name, absolute=node.absolute)
        return self.value(node)

    # -- variables

    def _is_local(self, node: Name) -> bool:
        return not node.absolute and node.name in self._locals

    def local(self, name: str) -> int:
        """A place for a variable of a macro."""
        self.slots += 1
        return self.slots - 1

    def within(self, names: Mapping[str, int], node: Node) -> Step:
        """A step in which these variables can be seen."""
        before = self._locals
        self._locals = {**before, **names}
        try:
            return self.value(node)
        finally:
            self._locals = before

    def sees(self, name: str) -> bool:
        """Whether a name is a variable of a macro here."""
        return name in self._locals

    def _variable(self, name: str, *, absolute: bool = False) -> Step:
        slot = None if absolute else self._locals.get(name)
        if slot is not None:
            return lambda frame: frame.slots[slot]
        kind = TYPES.get(name)

        def look(frame: Frame) -> Any:
            try:
                return frame.subjects[name]
            except KeyError:
                if kind is not None:
                    return kind
                told = f"; {WORDS_OF_CEL[name]}" if name in WORDS_OF_CEL else ""
                raise EvaluationError(f"there is no {name} that the rule could be asked about{told}") from None

        return look

    def _select(self, node: Select) -> Step:
        field, names = node.field, None if node.optional else self._dotted(node)
        look = self.part(node.of)
        if node.optional:
            return lambda frame: _optional(frame, look(frame), lambda subject: field_of(subject, field))
        if names is None:
            return lambda frame: field_of(look(frame), field)
        root, kind = names.partition(".")[0], TYPES.get(names)

        def select(frame: Frame) -> Any:
            if root not in frame.subjects:  # then a name with dots may itself be what the rule is asked about
                if names in frame.subjects:
                    return frame.subjects[names]
                if kind is not None:
                    return kind
            return field_of(look(frame), field)

        return select

    def _dotted(self, node: Node) -> str | None:
        """The name with dots that an expression is, if it is one."""
        path = dotted(node)
        return None if path is None or (self.sees(path.partition(".")[0]) and not is_absolute(node)) else path

    def _index(self, node: Index) -> Step:
        look, key = self.part(node.of), self.value(node.key)
        if node.optional:
            return lambda frame: _optional(frame, look(frame), lambda subject: element_of(subject, key(frame)))
        return lambda frame: element_of(look(frame), key(frame))

    # -- calls

    def call(self, node: Call) -> Step:
        """A macro, a plain function, or a method."""
        name = node.function
        space = None if node.target is None else self._dotted(node.target)
        macro = self._macros.get(f"{space}.{name}") if space else None
        macro = macro or self._macros.get(name if node.target is None else f".{name}")
        step = None if macro is None else macro(self, node)
        if step is not None:
            return step
        function = None if space is None else self._functions.plain.get(f"{space}.{name}")
        if function is not None:
            return _applied(function, [self.value(each) for each in node.arguments])
        if node.target is None:
            function = self._found(self._functions.plain, name, self._functions.methods)
            return _applied(function, [self.value(each) for each in node.arguments])
        arguments = [self.value(node.target), *(self.value(each) for each in node.arguments)]
        return _applied(self._found(self._functions.methods, name, self._functions.plain), arguments)

    def _found(self, functions: Mapping[str, Function], name: str, others: Mapping[str, Function]) -> Function:
        found = functions.get(name)
        if found is not None:
            return found
        if self._strict:
            raise RuleError(missing_function(name, functions, others, is_method=functions is self._functions.methods))
        return Function(name, {})


def _optional(frame: Frame, subject: Any, look: Callable[[Any], Any]) -> OptionalValue:
    if isinstance(subject, OptionalValue):
        if not subject.present:
            return NONE
        subject = subject.value
    found = maybe(lambda: look(subject))
    return OptionalValue(value_of(found.value, frame.spend)) if found.present else NONE


def _taken(look: Step) -> Step:
    """A part of a subject as a value."""

    def take(frame: Frame) -> Any:
        found = look(frame)
        return found if found.__class__ in SCALARS else value_of(found, frame.spend)

    return take


def _applied(function: Callable[..., Any], arguments: list[Step]) -> Step:
    cost, weigh = (function.cost, function.weigh) if isinstance(function, Function) else (0, None)

    def apply(frame: Frame) -> Any:
        values = [each(frame) for each in arguments]
        steps = cost
        for value in values:
            if value.__class__ in _GROWING:
                steps += len(value) >> 6
        if steps:
            frame.spend(steps)
        if weigh is not None:
            frame.spend(weigh(*values))
        result = function(*values)
        if result.__class__ in _GROWING:
            frame.spend(len(result) >> 6)
        return result

    return apply


_GROWING = frozenset((str, bytes, list, dict))


# -- nodes


def _literal(_: Preparation, node: Literal) -> Step:
    value = node.value
    return lambda _: value


def _unary(preparation: Preparation, node: Unary) -> Step:
    operand = preparation.value(node.operand)
    if node.operator == "-":
        return lambda frame: negated(operand(frame))

    def inverted(frame: Frame) -> bool:
        value = operand(frame)
        if value.__class__ is not bool:
            raise NoOverload(f"!{named(value)} means nothing")
        return value is False

    return inverted


def _binary(preparation: Preparation, node: Binary) -> Step:
    steps = [preparation.value(node.left), preparation.value(node.right)]
    arithmetic = OPERATORS.get(node.operator)
    if arithmetic is not None:
        return _applied(arithmetic, steps)
    compare, (left, right) = _COMPARISONS[node.operator], steps
    deep = _DEEP_COMPARISONS.get(node.operator)

    def answer(frame: Frame) -> bool:
        first, second = left(frame), right(frame)
        if deep is not None and second.__class__ in _HOLDING:
            return deep(first, second, frame.spend)
        return bool(compare(first, second))

    return answer


def _connective(preparation: Preparation, node: Connective) -> Step:
    operands = [preparation.value(each) for each in node.operands]
    return lambda frame: connected(node.operator == Connective.OR, operands, frame)


def connected(decisive: bool, operands: list[Step], frame: Frame) -> bool:
    """`||` where `decisive` is true, else `&&`: one operand may decide whatever happens to the others."""
    trouble: EvaluationError | None = None
    for operand in operands:
        try:
            value = operand(frame)
        except EvaluationError as error:
            trouble = trouble or error
            continue
        if value is decisive:
            return bool(value)
        if value.__class__ is not bool:
            trouble = trouble or NoOverload(f"{'||' if decisive else '&&'} takes bools, not {named(value)}")
    if trouble is not None:
        raise trouble
    return not decisive


def _conditional(preparation: Preparation, node: Conditional) -> Step:
    condition = preparation.value(node.condition)
    then, otherwise = preparation.value(node.then), preparation.value(node.otherwise)

    def choose(frame: Frame) -> Any:
        value = condition(frame)
        if value.__class__ is not bool:
            raise NoOverload(f"? needs a bool before it, not {named(value)}")
        return then(frame) if value else otherwise(frame)

    return choose


def _list(preparation: Preparation, node: ListOf) -> Step:
    elements = [(preparation.value(each), at in node.optional) for at, each in enumerate(node.elements)]

    def build(frame: Frame) -> list[Any]:
        built = list[Any]()
        for element, optional in elements:
            value = element(frame)
            if not optional:
                built.append(value)
            elif _must_be_optional(value).present:
                built.append(value.value)
        return built

    return build


def _map(preparation: Preparation, node: MapOf) -> Step:
    entries = [(preparation.value(each.key), preparation.value(each.value), each.optional) for each in node.entries]

    def build(frame: Frame) -> dict[Any, Any]:
        built = dict[Any, Any]()
        for key, value, optional in entries:
            name, found = key(frame), value(frame)
            if name.__class__ is float:
                raise NoOverload("a double is no key of a map")
            where = map_key(name)
            if where in built:
                raise EvaluationError(f"a map has two entries for {name!r:.60}")
            if optional:
                if not _must_be_optional(found).present:
                    continue
                found = found.value
            built[where] = found
        return built

    return build


def _must_be_optional(value: Any) -> OptionalValue:
    if isinstance(value, OptionalValue):
        return value
    raise NoOverload(f"? before an element needs an optional, not {named(value)}")


def _message(_: Preparation, node: MessageOf) -> Step:
    raise RuleError(f"{node.type_name}: a rule makes no messages; a map has its fields in braces alone")


def _predicate(_: Preparation, node: Predicate) -> Step:
    function = node.function

    def answer(frame: Frame) -> bool:
        return bool(function(getattr(frame.subjects, "subject", frame.subjects)))

    return answer


_NODES: dict[type, Callable[[Preparation, Any], Step]] = {
    Literal: _literal,
    Unary: _unary,
    Binary: _binary,
    Connective: _connective,
    Conditional: _conditional,
    ListOf: _list,
    MapOf: _map,
    MessageOf: _message,
    Call: Preparation.call,
    Predicate: _predicate,
}
