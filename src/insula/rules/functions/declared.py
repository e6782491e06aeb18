"""Functions of the application, which rules may call: plain Python, with the types that its annotations say.

Source: cel-spec, `langdef.md`, "Extension Functions". A name is one that CEL does not have, and no two
overloads take the same types.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from insula.rules.errors import BudgetExceeded, EvaluationError, NoOverload, RuleError
from insula.rules.functions.registry import Function, Functions
from insula.rules.moments import Duration, Timestamp
from insula.rules.parser import RESERVED
from insula.rules.subjects import value_of
from insula.rules.types import CLASSES, DYN, Type, type_of_annotation
from insula.rules.values import OptionalValue, TypeValue, UInt, key_value, named

Implementation = Callable[..., Any]
Declarations = Mapping[str, Implementation | Sequence[Implementation]]
"""Name -> a function, or some that take different types. With a dot before its name it is called as `x.name()`."""

Alternatives = tuple[Type, ...]
"""What one parameter takes."""

_SCALARS = frozenset(CLASSES) - {"list", "map"}
_NAME = re.compile(r"\.?[a-zA-Z_][a-zA-Z0-9_]*")
_GIVEN = frozenset((bool, int, UInt, float, str, bytes, type(None), datetime, timedelta))
"""What values are in Python. A date, a Decimal or the member of an Enum is a text or number to a rule."""


def named_functions(declarations: Declarations | None) -> Declarations:
    """The same, if they have names. Raises `RuleError` that shows how they are given."""
    if declarations is None:
        return {}
    if isinstance(declarations, Mapping):
        return declarations
    several = declarations if isinstance(declarations, list | tuple | set | frozenset) else [declarations]
    names = [str(getattr(each, "__name__", "risk")) for each in several] or ["risk"]
    such = ", ".join(f"{name!r}: {name}" for name in names)
    raise RuleError(f"functions={declarations!r:.60}: give a dict of name -> function, such as {{{such}}}")


def declared(declarations: Declarations, taken: Iterable[str]) -> Functions:
    """As functions of CEL. Parameters: `taken`, the names that there are already. Raises `RuleError`."""
    functions, known = Functions(), frozenset(taken)
    for name, given in declarations.items():
        if not (isinstance(name, str) and _NAME.fullmatch(name)) or name.lstrip(".") in RESERVED:
            raise RuleError(
                f"functions: {name!r} is no name of a function; write one such as 'risk', or '.risk' for x.risk()"
            )
        if name in known:
            raise RuleError(f"functions: {name} is a function of CEL; give yours another name")
        several: Sequence[Any] = given if isinstance(given, list | tuple) else [given]
        overloads = [_signature(name, each) for each in several]
        kind = functions.methods if name.startswith(".") else functions.plain
        kind[name.lstrip(".")] = DeclaredFunction(name, overloads)
    return functions


@dataclass(frozen=True, slots=True)
class Signature:
    """One function. Parameters: `takes`, for each parameter its types; `least`, how many have to be given."""

    implementation: Implementation
    takes: tuple[Alternatives, ...]
    least: int
    answers: Type

    def fits(self, values: Sequence[Any], fit: Callable[[Any, Type], bool]) -> bool:
        """Whether it takes these, values or types."""
        if not self.least <= len(values) <= len(self.takes):
            return False
        return all(any(fit(value, kind) for kind in kinds) for value, kinds in zip(values, self.takes, strict=False))

    def __str__(self) -> str:
        return f"({', '.join(' or '.join(map(str, kinds)) for kinds in self.takes)})"


class DeclaredFunction(Function):
    """Some functions under one name. Whatever goes wrong in one of them is an `EvaluationError`."""

    cost = 1

    def __init__(self, name: str, signatures: Sequence[Signature]) -> None:
        super().__init__(name, {})
        self.signatures = tuple(signatures)
        if not signatures:
            raise RuleError(f"functions: {name} stands for an empty list; give a function")
        for at, each in enumerate(self.signatures):
            for other in self.signatures[:at]:
                if _overlap(each, other):
                    raise RuleError(f"functions: two functions called {name} take the same: {other} and {each}")

    def signature_for(self, found: Sequence[Type]) -> Signature | None:
        """The one that takes these types, as far as they are known; None where none does."""
        return next((each for each in self.signatures if each.fits(found, type_fits)), None)

    def __call__(self, *arguments: Any) -> Any:
        for signature in self.signatures:
            if signature.fits(arguments, value_fits):
                return self._answer(signature, arguments)
        raise NoOverload(f"{self.name}({named(*arguments)}): it does not take these; it takes {self.takes}")

    @property
    def takes(self) -> str:
        """The types of all of them, for a message."""
        return " or ".join(map(str, self.signatures))

    def _answer(self, signature: Signature, arguments: Sequence[Any]) -> Any:
        try:
            answer = value_of(signature.implementation(*map(in_python, arguments)))
        except (BudgetExceeded, EvaluationError):
            raise
        except Exception as error:
            raise EvaluationError(f"{self.name}({named(*arguments)}): {type(error).__name__}: {error}") from error
        if not value_fits(answer, signature.answers):
            raise EvaluationError(
                f"{self.name} answered with a {named(answer)}; it says that it answers a {signature.answers}"
            )
        return answer


def in_python(value: Any) -> Any:
    """A value as Python has it: datetimes and timedeltas, and plain keys."""
    kind = value.__class__
    if kind is list:
        return [in_python(each) for each in value]
    if kind is dict:
        return {key_value(key): in_python(each) for key, each in value.items()}
    if kind is Timestamp:
        return value.at()
    if kind is Duration:
        return value.to_timedelta()
    if kind is OptionalValue:
        return in_python(value.value) if value.present else None
    return value.name if kind is TypeValue else value


# -- which types fit


def type_fits(found: Type, expected: Type) -> bool:
    """Whether a value of a type may be one of another, as far as that is known."""
    if DYN in (found, expected):
        return True
    if "object" in (found.name, expected.name):
        return _objects_fit(found, expected)
    return found.name == expected.name and all(map(type_fits, found.of, expected.of))


def _objects_fit(found: Type, expected: Type) -> bool:
    if isinstance(found.kind, Mapping):  # known by its fields alone
        return expected.name in ("map", "object")
    if not (isinstance(found.kind, type) and isinstance(expected.kind, type)):
        return False
    return issubclass(found.kind, expected.kind)


def value_fits(value: Any, expected: Type) -> bool:
    """Whether a value is of a type, with all that it holds."""
    if expected == DYN:
        return True
    if expected.name == "object":
        return isinstance(value, expected.kind)
    if value.__class__ is not CLASSES[expected.name]:
        return False
    return not expected.of or _held_fits(value, expected)


def _held_fits(value: Any, expected: Type) -> bool:
    if expected.name == "list":
        return all(value_fits(each, expected.of[0]) for each in value)
    keys, held = expected.of
    return all(value_fits(key_value(key), keys) and value_fits(each, held) for key, each in value.items())


def _overlap(one: Signature, other: Signature) -> bool:
    """Whether some values fit both."""
    if one.least > len(other.takes) or other.least > len(one.takes):
        return False
    pairs = zip(one.takes, other.takes, strict=False)
    return all(any(_alike(left, right) for left in first for right in second) for first, second in pairs)


def _alike(left: Type, right: Type) -> bool:
    return type_fits(left, right) or type_fits(right, left)


# -- annotations


def _signature(name: str, implementation: Implementation) -> Signature:
    if not callable(implementation):
        raise RuleError(f"functions: {name} is {implementation!r}; give a function")
    if inspect.iscoroutinefunction(implementation):
        raise RuleError(
            f"functions: {name} is async, and a rule waits for nothing; look up what it needs before, as a subject"
        )
    try:
        parameters = inspect.signature(implementation).parameters.values()
        routine: Any = implementation if inspect.isroutine(implementation) else type(implementation).__call__
        hints = typing.get_type_hints(routine)
    except (NameError, TypeError, ValueError) as error:
        raise RuleError(
            f"functions: {name}: its annotations cannot be read: {error}; wrap it in a function with a def"
        ) from None
    takes, least = list[Alternatives](), 0
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and each.default is not each.empty:
            continue
        if each.kind not in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD):
            raise RuleError(f"functions: {name} has a parameter {each}; a rule gives values one after the other")
        takes.append(_alternatives(name, each.name, hints))
        least += each.default is each.empty
    (answers,) = _alternatives(name, "return", hints, given=False)
    if name.startswith(".") and not least:
        raise RuleError(f"functions: {name} takes nothing that could stand before its dot")
    return Signature(implementation, tuple(takes), least, answers)


def _alternatives(name: str, parameter: str, hints: Mapping[str, Any], *, given: bool = True) -> Alternatives:
    if parameter not in hints:
        what = "what it answers has" if parameter == "return" else f"{parameter} has"
        raise RuleError(f"functions: {name}: {what} no annotation, and a rule is checked against it")
    annotation = hints[parameter]
    if not given:
        return (type_of_annotation(annotation),)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(_given(name, parameter, each) for each in typing.get_args(annotation))
    return (_given(name, parameter, annotation),)


def _given(name: str, parameter: str, annotation: Any) -> Type:
    """The type of a parameter. Raises `RuleError` where a rule could never give such a value."""
    found = type_of_annotation(annotation)
    if isinstance(annotation, type) and found.name in _SCALARS and annotation not in _GIVEN:
        raise RuleError(
            f"functions: {name}: {parameter} is a {annotation.__name__}, which a rule sees as a text or number; "
            "annotate it as str, int or float"
        )
    if found.name == "object":
        try:
            isinstance(None, found.kind)
        except TypeError:
            raise RuleError(f"functions: {name}: {parameter} is a {found}, which no value can be asked to be") from None
    return found
