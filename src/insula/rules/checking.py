"""Finds what a rule can never answer before anybody asks it: names that are not there, types that do not fit.

Source: cel-spec, `langdef.md`, "Gradual Type Checking". Numbers of different types may be compared; what is `dyn` fits
everything.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from insula.rules.arithmetic import OPERANDS
from insula.rules.errors import RuleError, RuleTypeError, did_you_mean, hint
from insula.rules.functions.declared import DeclaredFunction
from insula.rules.functions.registry import Function, Functions, missing_function
from insula.rules.functions.results import RESULTS
from insula.rules.tree import (
    Binary,
    Call,
    Conditional,
    Connective,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Select,
    Unary,
)
from insula.rules.types import (
    BOOL,
    BYTES,
    CLASSES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    NUMBERS,
    ORDERED,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    Type,
    fields_of,
    list_of,
    map_of,
    optional_of,
    type_of_annotation,
)
from insula.rules.usage import dotted
from insula.rules.values import TYPES, UInt

_LITERALS = {type(None): NULL, bool: BOOL, int: INT, UInt: UINT, float: DOUBLE, str: STRING, bytes: BYTES}
_BY_CLASS = {CLASSES[each.name]: each for each in (BOOL, INT, UINT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION)}
_TESTS = frozenset(("all", "exists", "exists_one", "existsOne"))


def check(
    tree: Node,
    subjects: Mapping[str, Any],
    functions: Functions,
    source: str = "",
    *,
    macros: Container[str] | None = None,
) -> Type:
    """The type of the answer. Parameters: `subjects`, name -> class, annotation, or a dict of names as a shape.

    `macros`, by name; a function that is neither there nor one of them is refused, if they are given.
    Raises `RuleTypeError` that shows the place in the source.
    """
    if not isinstance(subjects, Mapping):
        raise RuleError(f"about={subjects!r:.60}: give a dict of names, such as {{'order': Order}}")
    names = {name: type_of_annotation(each) for name, each in subjects.items()}
    return _Checker(names, functions, source, macros).of(tree)


class _Checker:
    def __init__(
        self, names: Mapping[str, Type], functions: Functions, source: str, macros: Container[str] | None
    ) -> None:
        self._macros = macros
        self._names = names
        self._functions = functions
        self._source = source
        self._locals: Mapping[str, Type] = {}

    def of(self, node: Node) -> Type:
        """The type of a node."""
        check = _CHECKS.get(type(node))
        return DYN if check is None else check(self, node)

    def _wrong(self, node: Node, problem: str) -> RuleTypeError:
        return RuleTypeError(self._source, node.at, problem)

    def _is(self, node: Node, expected: Type, where: str) -> None:
        found = self.of(node)
        if found not in (expected, DYN):
            raise self._wrong(node, f"{where} takes a {expected}, not a {found}")

    # -- names

    def name(self, node: Name) -> Type:
        """A variable of a macro, a subject, or a type."""
        if not node.absolute and node.name in self._locals:
            return self._locals[node.name]
        if node.name in self._names:
            return self._names[node.name]
        if node.name in TYPES:
            return TYPE
        raise self._wrong(node, f"the rule is not asked about {node.name}{hint(node.name, self._names)}")

    def select(self, node: Select) -> Type:
        """A field."""
        path = dotted(node)
        root = (path or "").partition(".")[0]
        if path is not None and root not in self._locals and root not in self._names:
            if path in self._names:
                return self._names[path]
            if path in TYPES:
                return TYPE
        of = self.of(node.of)
        if of.name == "optional":
            return optional_of(self._field(node, of.of[0]))
        found = self._field(node, of)
        return optional_of(found) if node.optional else found

    def _field(self, node: Select, of: Type) -> Type:
        if of == DYN:
            return DYN
        if of.name == "map":
            return of.of[1]
        if of.name != "object":
            raise self._wrong(node, f"a {of} has no field {node.field}")
        known = fields_of(of.kind)
        if node.field not in known:
            owner = "it" if isinstance(of.kind, Mapping) else str(of)
            raise self._wrong(node, f"{owner} has no field {node.field}{did_you_mean(node.field, known)}")
        return type_of_annotation(known[node.field])

    def index(self, node: Index) -> Type:
        """An element or entry."""
        of, key = self.of(node.of), self.of(node.key)
        if of.name == "optional":
            of = of.of[0]
        if of.name == "list" and key not in (INT, UINT, DOUBLE, DYN):
            raise self._wrong(node.key, f"an element of a list is named by its number, not by a {key}")
        if of.name not in ("list", "map", "object", "dyn"):
            raise self._wrong(node, f"a {of} has no elements")
        found = of.of[-1] if of.of else DYN
        return optional_of(found) if node.optional else found

    # -- operators

    def literal(self, node: Literal) -> Type:
        """A value."""
        return _LITERALS[node.value.__class__]

    def unary(self, node: Unary) -> Type:
        """`!` or a minus sign."""
        if node.operator == "!":
            self._is(node.operand, BOOL, "!")
            return BOOL
        found = self.of(node.operand)
        if found not in (INT, DOUBLE, DURATION, DYN):
            raise self._wrong(node, f"a {found} has no negative")
        return found

    def binary(self, node: Binary) -> Type:
        """Arithmetic, a comparison, or `in`."""
        left, right = self.of(node.left), self.of(node.right)
        if node.operator == "in":
            if right.name not in ("list", "map", "dyn"):
                raise self._wrong(node.right, f"only a list or a map contains something, not a {right}")
            self._membership(node, left, right)
            return BOOL
        if node.operator in OPERANDS:
            return self._arithmetic(node, left, right)
        alike = _alike(left, right)
        if node.operator in ("==", "!="):
            if not alike and NULL not in (left, right):
                raise self._wrong(node, f"a {left} is never equal to a {right}")
        elif not alike or not {left, right} - {DYN} <= ORDERED:
            raise self._wrong(node, f"there is no order between a {left} and a {right}")
        return BOOL

    def _membership(self, node: Binary, element: Type, container: Type) -> None:
        """Raises `RuleTypeError` where nothing in a list or map could be equal to the element."""
        written = node.right.elements if isinstance(node.right, ListOf) else ()
        if written and all(isinstance(each, Literal) for each in written):
            held = [self.of(each) for each in written]
        else:  # looked at again, lists in lists in lists would take for ever
            held = list(container.of[:1]) or [DYN]
        if not any(_alike(element, each) or NULL in (element, each) for each in held):
            raise self._wrong(node, f"a {element} is never equal to a {held[0]}")

    def _arithmetic(self, node: Binary, left: Type, right: Type) -> Type:
        results = OPERANDS[node.operator]
        fitting = {result for (first, second), result in results.items() if _fits(left, first) and _fits(right, second)}
        if not fitting:
            converts = _hint_of([left, right]) if {left, right} <= NUMBERS else ""
            raise self._wrong(node, f"{left} {node.operator} {right} means nothing{converts}")
        if DYN in (left, right) or len(fitting) > 1:
            return DYN
        return left if left.name == "list" else _BY_CLASS.get(next(iter(fitting)), DYN)

    def connective(self, node: Connective) -> Type:
        """Conditions."""
        for each in node.operands:
            self._is(each, BOOL, node.operator)
        return BOOL

    def conditional(self, node: Conditional) -> Type:
        """One of two."""
        self._is(node.condition, BOOL, "?")
        then, otherwise = self.of(node.then), self.of(node.otherwise)
        return then if then == otherwise else DYN

    def list_of(self, node: ListOf) -> Type:
        """A list; of `dyn` where its elements differ."""
        kinds = {self.of(each) for each in node.elements}
        return list_of(kinds.pop() if len(kinds) == 1 and not node.optional else DYN)

    def map_of(self, node: MapOf) -> Type:
        """A map."""
        keys = {self.of(each.key) for each in node.entries}
        values = {self.of(each.value) for each in node.entries}
        return map_of(keys.pop() if len(keys) == 1 else DYN, values.pop() if len(values) == 1 else DYN)

    # -- calls

    def call(self, node: Call) -> Type:
        """A macro, a function or a method. What is not known here is found when the rule is made ready."""
        name, target = node.function, node.target
        space = dotted(target) if target is not None else None
        plain = self._functions.plain.get(f"{space}.{name}" if space else name)
        if target is not None and (space is None or plain is None):
            if name in _MACROS and len(node.arguments) >= 2:
                return self._macro(node, self.of(target))
            if space in ("cel", "math", "optional", "base64", "strings") and space not in self._names:
                return DYN
            return self._applied(node, self._known(node, self._functions.methods), [target, *node.arguments])
        if name == "has" and target is None:
            return self._has(node)
        return self._applied(node, plain or self._known(node, self._functions.plain), list(node.arguments))

    def _known(self, node: Call, functions: Mapping[str, Function]) -> Function | None:
        found, is_method = functions.get(node.function), functions is self._functions.methods
        if found is None and self._macros is not None and f"{'.' * is_method}{node.function}" not in self._macros:
            others = self._functions.plain if is_method else self._functions.methods
            raise self._wrong(node, missing_function(node.function, functions, others, is_method=is_method))
        return found

    def _has(self, node: Call) -> Type:
        for each in node.arguments:
            self.of(each)
        return BOOL

    def _applied(self, node: Call, function: Function | None, arguments: list[Node]) -> Type:
        found = [self.of(each) for each in arguments]
        if isinstance(function, DeclaredFunction):
            return self._declared(node, function, found)
        if function is None or not function.overloads:
            return RESULTS.get(node.function, DYN)
        for classes in function.overloads:
            if len(classes) == len(found) and all(map(_fits, found, classes)):
                return RESULTS.get(node.function, DYN)
        given = ", ".join(map(str, found))
        raise self._wrong(node, f"{node.function}({given}) means nothing: it does not take these types")

    def _declared(self, node: Call, function: DeclaredFunction, found: list[Type]) -> Type:
        signature = function.signature_for(found)
        if signature is None:
            given = ", ".join(map(str, found))
            raise self._wrong(
                node, f"{node.function}({given}) means nothing: it takes {function.takes}{_hint_of(found)}"
            )
        return signature.answers if len(function.signatures) == 1 or DYN not in found else DYN

    def _macro(self, node: Call, over: Type) -> Type:
        count = 2 if len(node.arguments) >= 3 and (node.function in _TESTS or node.function in _OF_ENTRIES) else 1
        if over.name not in ("list", "map", "optional", "dyn"):
            raise self._wrong(node, f"{node.function} runs over a list or a map, not over a {over}")
        names = [each.name if isinstance(each, Name) else "" for each in node.arguments[:count]]
        before = self._locals
        self._locals = {**before, **dict(zip(names, _elements(over, count), strict=True))}
        try:
            inner = [self.of(each) for each in node.arguments[count:]]
        finally:
            self._locals = before
        if node.function in _TESTS or node.function == "filter":
            if inner[-1] not in (BOOL, DYN):
                raise self._wrong(node.arguments[-1], f"{node.function} needs a condition, not a {inner[-1]}")
            return BOOL if node.function in _TESTS else list_of(_elements(over, 1)[0])
        return list_of(inner[-1]) if node.function in ("map", "transformList") else DYN


_OF_ENTRIES = frozenset(("transformList", "transformMap", "transformMapEntry"))
_MACROS = _TESTS | _OF_ENTRIES | {"filter", "map", "optMap", "optFlatMap"}


def _alike(left: Type, right: Type) -> bool:
    """Whether they may be equal."""
    return DYN in (left, right) or left.name == right.name or {left, right} <= NUMBERS


def _hint_of(found: list[Type]) -> str:
    return "; int(), uint() and double() convert" if NUMBERS.intersection(found) else ""


def _elements(over: Type, count: int) -> list[Type]:
    """What the variables of a macro are."""
    if over == DYN or not over.of:
        return [DYN] * count
    if over.name == "map":
        return list(over.of[:count])
    return [INT, over.of[0]] if count == 2 else [over.of[0]]


def _fits(found: Type, expected: type) -> bool:
    return found == DYN or CLASSES.get(found.name, object) is expected or found.name in ("object", "optional")


_CHECKS: dict[type, Callable[[_Checker, Any], Type]] = {
    Literal: _Checker.literal,
    Name: _Checker.name,
    Select: _Checker.select,
    Index: _Checker.index,
    Unary: _Checker.unary,
    Binary: _Checker.binary,
    Connective: _Checker.connective,
    Conditional: _Checker.conditional,
    ListOf: _Checker.list_of,
    MapOf: _Checker.map_of,
    Call: _Checker.call,
}
