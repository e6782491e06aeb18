"""What looks like a function and is not one: its arguments are answered later, again and again, or not at all.

Source: cel-spec, `langdef.md`, "Macros"; cel-go's two-variable comprehensions, bindings, blocks and optionals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from insula.rules.errors import EvaluationError, NoOverload, RuleError
from insula.rules.evaluation import Macro, Preparation, connected
from insula.rules.frame import Frame, Step
from insula.rules.subjects import has_field
from insula.rules.text import to_text
from insula.rules.tree import Call, ListOf, Literal, Name, Node, Select
from insula.rules.values import NONE, OptionalValue, key_value, map_key, named

_NOT_YET = object()


def _has(preparation: Preparation, node: Call) -> Step:
    (argument,) = _arguments(node, 1)
    if not isinstance(argument, Select):
        raise RuleError("has() takes a field, such as has(order.coupon)")
    look, field = preparation.part(argument.of), argument.field
    return lambda frame: has_field(look(frame), field)


def _target(node: Call) -> Node:
    """What a macro follows."""
    if node.target is None:
        raise RuleError(f"{node.function} follows what it is about, after a dot")
    return node.target


def _arguments(node: Call, *counts: int) -> tuple[Node, ...]:
    if len(node.arguments) not in counts:
        raise RuleError(f"{node.function} takes {' or '.join(map(str, counts))} arguments, not {len(node.arguments)}")
    return node.arguments


def _variable(node: Node) -> str:
    """The name that a macro gives to what it looks at."""
    if isinstance(node, Name) and not node.absolute:
        return node.name
    name = _numbered(node, "iterVar", 2)
    if name is None:
        raise RuleError("a macro needs a plain name for what it looks at")
    return name


def _numbered(node: Node, function: str, count: int) -> str | None:
    """`cel.iterVar(0, 1)` and `cel.index(2)` are names in the texts that optimisers write."""
    if not (isinstance(node, Call) and node.function == function and node.target == Name("cel")):
        return None
    literals = [each.value for each in _arguments(node, count) if isinstance(each, Literal)]
    numbers = [each for each in literals if each.__class__ is int]
    if len(numbers) != count:
        raise RuleError(f"cel.{function} takes {count} numbers")
    return f"@{function}:{':'.join(map(str, numbers))}"


# -- over the elements of a list, or the entries of a map


class _Loop:
    """What a macro runs over, and the variables it gives to each element.

    With one variable it is the element of a list or the key of a map; with two, number and element or key and value.
    """

    def __init__(self, preparation: Preparation, node: Call, variables: int) -> None:
        self._over = preparation.value(_target(node))
        names = [_variable(each) for each in node.arguments[:variables]]
        if len(set(names)) < len(names):
            raise RuleError(f"{node.function}: two variables are called {names[0]}")
        self._slots = [preparation.local(name) for name in names]
        self._names = dict(zip(names, self._slots, strict=True))
        self._preparation = preparation
        self._function = node.function
        self._steps = 1

    def step(self, node: Node) -> Step:
        """A part that sees the variables. Where it is long, an element takes more than one step."""
        self._steps += _size(node) >> 3
        return self._preparation.within(self._names, node)

    def run(self, frame: Frame) -> Iterator[Any]:
        """Give each element to the variables; yields what the first of them is."""
        over, slots, steps = self._over(frame), frame.slots, self._steps
        if over.__class__ not in (list, dict):
            raise NoOverload(f"{self._function} runs over a list or a map, not over {named(over)}")
        first, last = self._slots[0], self._slots[-1]
        entries = over.items() if over.__class__ is dict else enumerate(over)
        single_key = over.__class__ is dict and first == last
        for key, value in entries:
            frame.spend(steps)
            slots[first] = key_value(key)
            if not single_key:
                slots[last] = value
            yield slots[first]


def _size(node: Node) -> int:
    """How many nodes there are to answer, without what other loops do for each of their elements."""
    count, waiting = 0, [node]
    while waiting:
        found = waiting.pop()
        count += 1
        is_loop = isinstance(found, Call) and found.target is not None and found.function in _LOOPS
        waiting.extend(found.parts[:1] if is_loop else found.parts)
    return count


def _test(node: Call) -> tuple[int, Node]:
    """How many variables there are, and what is tested."""
    arguments = _arguments(node, 2, 3)
    return len(arguments) - 1, arguments[-1]


def _quantified(decisive: bool) -> Macro:
    def macro(preparation: Preparation, node: Call) -> Step:
        variables, test = _test(node)
        loop = _Loop(preparation, node, variables)
        step = loop.step(test)

        def answer(frame: Frame) -> bool:
            trouble: EvaluationError | None = None
            for _ in loop.run(frame):
                try:
                    if connected(decisive, [step], frame) is decisive:
                        return decisive
                except EvaluationError as error:
                    trouble = trouble or error
            if trouble is not None:
                raise trouble
            return not decisive

        return answer

    return macro


def _exists_one(preparation: Preparation, node: Call) -> Step:
    variables, test = _test(node)
    loop = _Loop(preparation, node, variables)
    step = loop.step(test)
    return lambda frame: sum(_true(step, frame) for _ in loop.run(frame)) == 1


def _true(step: Step, frame: Frame) -> bool:
    value = step(frame)
    if value.__class__ is not bool:
        raise NoOverload(f"a test answers with a bool, not with {named(value)}")
    return bool(value)


def _filter(preparation: Preparation, node: Call) -> Step:
    _arguments(node, 2)
    loop = _Loop(preparation, node, 1)
    step = loop.step(node.arguments[1])
    return lambda frame: [element for element in loop.run(frame) if _true(step, frame)]


def _listed(variables: int) -> Macro:
    """A list of what each element becomes, or of those that pass a test."""

    def macro(preparation: Preparation, node: Call) -> Step:
        arguments = _arguments(node, variables + 1, variables + 2)
        loop = _Loop(preparation, node, variables)
        test = loop.step(arguments[variables]) if len(arguments) > variables + 1 else None
        becomes = loop.step(arguments[-1])
        if test is None:
            return lambda frame: [becomes(frame) for _ in loop.run(frame)]
        return lambda frame: [becomes(frame) for _ in loop.run(frame) if _true(test, frame)]

    return macro


def _mapped(*, whole_entries: bool) -> Macro:
    """A map of what each element becomes: a value under its key, or an entry of its own."""

    def macro(preparation: Preparation, node: Call) -> Step:
        arguments = _arguments(node, 3, 4)
        loop = _Loop(preparation, node, 2)
        test = loop.step(arguments[2]) if len(arguments) == 4 else None
        becomes = loop.step(arguments[-1])

        def answer(frame: Frame) -> dict[Any, Any]:
            built = dict[Any, Any]()
            for key in loop.run(frame):
                if test is not None and not _true(test, frame):
                    continue
                value = becomes(frame)
                for name, each in _entries(key, value, whole_entries=whole_entries):
                    if name in built:
                        raise EvaluationError(f"{node.function}: two entries for {key_value(name)!r:.60}")
                    built[name] = each
            return built

        return answer

    return macro


def _entries(key: Any, value: Any, *, whole_entries: bool) -> list[tuple[Any, Any]]:
    if not whole_entries:
        return [(map_key(key), value)]
    if value.__class__ is not dict:
        raise NoOverload(f"transformMapEntry makes maps, not {named(value)}")
    return list(value.items())


# -- names for values


def _bind(preparation: Preparation, node: Call) -> Step:
    """`cel.bind(name, value, expression)`: a name for a value that is needed more than once."""
    name, value, body = _arguments(node, 3)
    return _with_names(preparation, [(_variable(name), value)], body)


def _block(preparation: Preparation, node: Call) -> Step:
    """`cel.block([values], expression)`, in which `cel.index(n)` is a value before."""
    values, body = _arguments(node, 2)
    if not isinstance(values, ListOf):
        raise RuleError("cel.block takes a list of expressions")
    return _with_names(preparation, [(f"@index:{at}", each) for at, each in enumerate(values.elements)], body)


def _with_names(preparation: Preparation, named_values: list[tuple[str, Node]], body: Node) -> Step:
    slots, steps, names = list[int](), list[Step](), dict[str, int]()
    for name, node in named_values:
        steps.append(preparation.within(names, node))
        slots.append(preparation.local(name))
        names[name] = slots[-1]
    inner = preparation.within(names, body)

    def answer(frame: Frame) -> Any:
        for slot, step in zip(slots, steps, strict=True):
            frame.slots[slot] = step(frame)
        return inner(frame)

    return answer


def _name_of(function: str, count: int) -> Macro:
    def macro(preparation: Preparation, node: Call) -> Step:
        name = _numbered(node, function, count)
        if name is None or not preparation.sees(name):
            raise RuleError(f"{to_text(node)} names nothing here")
        return preparation.value(Name(name))

    return macro


# -- values that may be missing


def _or(preparation: Preparation, node: Call) -> Step:
    (other,) = _arguments(node, 1)
    first, second = preparation.value(_target(node)), preparation.value(other)
    return lambda frame: found if (found := _optional(first(frame), "or")).present else _optional(second(frame), "or")


def _or_value(preparation: Preparation, node: Call) -> Step:
    (other,) = _arguments(node, 1)
    first, second = preparation.value(_target(node)), preparation.value(other)
    return lambda frame: found.value if (found := _optional(first(frame), "orValue")).present else second(frame)


def _optional(value: Any, function: str) -> OptionalValue:
    if isinstance(value, OptionalValue):
        return value
    raise NoOverload(f"{function} is for optionals, not for {named(value)}")


def _opt_map(*, flat: bool) -> Macro:
    def macro(preparation: Preparation, node: Call) -> Step:
        name, body = _arguments(node, 2)
        slot = preparation.local(_variable(name))
        first, inner = preparation.value(_target(node)), preparation.within({_variable(name): slot}, body)

        def answer(frame: Frame) -> OptionalValue:
            found = _optional(first(frame), node.function)
            if not found.present:
                return NONE
            frame.slots[slot] = found.value
            value = inner(frame)
            return _optional(value, node.function) if flat else OptionalValue(value)

        return answer

    return macro


MACROS: dict[str, Macro] = {
    "has": _has,
    ".all": _quantified(decisive=False),
    ".exists": _quantified(decisive=True),
    ".exists_one": _exists_one,
    ".existsOne": _exists_one,
    ".filter": _filter,
    ".map": _listed(1),
    ".transformList": _listed(2),
    ".transformMap": _mapped(whole_entries=False),
    ".transformMapEntry": _mapped(whole_entries=True),
    "cel.bind": _bind,
    "cel.block": _block,
    "cel.index": _name_of("index", 1),
    "cel.iterVar": _name_of("iterVar", 2),
    ".or": _or,
    ".orValue": _or_value,
    ".optMap": _opt_map(flat=False),
    ".optFlatMap": _opt_map(flat=True),
}
"""By name; a dot before it where it follows what it is about."""
_LOOPS = frozenset(name[1:] for name in MACROS if name not in (".or", ".orValue", ".optMap", ".optFlatMap"))
