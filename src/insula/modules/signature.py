"""Reading handlers: does a function take and return what its message says, and which ports does it ask for."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from insula.messages import Message, kind_of, result_type
from insula.messages.immutability import open_variables, shown
from insula.messages.resolution import resolve
from insula.modules.declaration import HandlerDeclaration, Place, PortParameter

Names = Mapping[str, Any]


def read_ports(
    function: Callable[..., Any], *, takes_message: bool, names: Names | None = None
) -> tuple[PortParameter, ...]:
    """The parameters of a handler that ports go into, annotations resolved where that is possible now.

    Parameters: `takes_message`, whether the first parameter is the message; `names`, local names to resolve with.
    Raises TypeError naming the function and its place for a parameter that no port can go into.
    """
    place = Place.of_function(function)
    parameters = list(inspect.signature(function).parameters.values())
    if takes_message and not parameters:
        raise TypeError(f"{place}: takes nothing; its first parameter is the message")
    ports = []
    for parameter in parameters[takes_message:]:
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise TypeError(f"{place}: {parameter} cannot take a port; declare ports as plain parameters")
        if parameter.annotation is inspect.Parameter.empty:
            raise TypeError(f"{place}: parameter {parameter.name!r} has no type, and ports go by type; annotate it")
        annotation = _resolved_or_text(function, parameter.annotation, names)
        optional = parameter.default is not inspect.Parameter.empty
        ports.append(PortParameter(parameter.name, annotation, optional))
    return tuple(ports)


def check_signature(
    function: Callable[..., Any], message: type[Message] | None, names: Names | None = None, *, final: bool = False
) -> bool:
    """Check that a handler takes its message first and returns what the message promises.

    Parameters: `message`, None for a schedule, which returns None; `names`, local names to resolve annotations with;
    `final`, whether a name that is not defined is an error (default: it may come later).
    Returns whether all names were defined. Raises TypeError naming function, file and line, what was expected and what
    was found.
    """
    place = Place.of_function(function)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{place}: is a generator; a handler returns one answer")
    signature = inspect.signature(function)
    try:
        if message is not None:
            first = next(iter(signature.parameters.values()))
            expected: Any = message
            found = _annotation(function, first.annotation, names)
            if not assignable(expected, found):
                raise TypeError(f"{place}: first parameter: expected {shown(expected)}, found {_shown(found)}")
        expected = type(None) if message is None else result_type(message)
        if open_variables(expected):
            raise TypeError(f"{place}: {shown(message)} leaves its result open; handle a subclass that says it")
        found = _annotation(function, signature.return_annotation, names)
        if not assignable(found, expected):
            raise TypeError(f"{place}: return type: expected {shown(expected)}, found {_shown(found)}")
    except NameError as error:
        if final:
            raise TypeError(_undefined(place, error)) from None
        return False
    return True


def finished(declaration: HandlerDeclaration) -> HandlerDeclaration:
    """The declaration with every annotation resolved and checked. Raises TypeError naming place and problem."""
    if not declaration.is_checked:
        check_signature(declaration.function, declaration.message, final=True)
    ports = []
    for port in declaration.ports:
        try:
            annotation = resolve(port.annotation, _globals(declaration.function))
        except NameError as error:
            raise TypeError(_undefined(declaration.place, error)) from None
        if typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        ports.append(replace(port, annotation=annotation))
    return replace(declaration, ports=tuple(ports), is_checked=True)


def assignable(found: Any, expected: Any) -> bool:
    """Whether a value of type `found` may stand where `expected` is declared, as type checkers see it, near enough."""
    found, expected = _plain(found), _plain(expected)
    if found is inspect.Parameter.empty:
        return False
    if found == expected or expected in (Any, object) or found in (Any, typing.NoReturn, typing.Never):
        return True
    if _is_union(found):
        return all(assignable(member, expected) for member in typing.get_args(found))
    if _is_union(expected):
        return any(assignable(found, member) for member in typing.get_args(expected))
    if isinstance(found, typing.NewType):
        return assignable(found.__supertype__, expected)
    if typing.get_origin(found) is typing.Literal:
        return all(_literal_fits(value, expected) for value in typing.get_args(found))
    return _classes_fit(found, expected)


def _classes_fit(found: Any, expected: Any) -> bool:
    found_class, expected_class = (typing.get_origin(side) or side for side in (found, expected))
    if not (isinstance(found_class, type) and isinstance(expected_class, type)):
        return False
    if not issubclass(found_class, expected_class):
        return False
    found_arguments, expected_arguments = typing.get_args(found), typing.get_args(expected)
    if found_class is not expected_class or not (found_arguments and expected_arguments):
        return True
    if found_class is tuple:
        return _tuples_fit(found_arguments, expected_arguments)
    pairs = zip(found_arguments, expected_arguments, strict=False)
    return len(found_arguments) == len(expected_arguments) and all(assignable(a, b) for a, b in pairs)


def _tuples_fit(found: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    if len(expected) == 2 and expected[1] is Ellipsis:
        return all(assignable(item, expected[0]) for item in found if item is not Ellipsis)
    if Ellipsis in found or len(found) != len(expected):
        return False
    return all(assignable(a, b) for a, b in zip(found, expected, strict=True))


def _literal_fits(value: Any, expected: Any) -> bool:
    if typing.get_origin(expected) is typing.Literal:
        return any(type(value) is type(other) and value == other for other in typing.get_args(expected))
    return assignable(type(value), expected)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _plain(annotation: Any) -> Any:
    while True:
        if typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif hasattr(annotation, "__value__"):  # `type Name = ...`
            annotation = annotation.__value__
        else:
            return type(None) if annotation is None else annotation


def _annotation(function: Callable[..., Any], annotation: Any, names: Names | None) -> Any:
    if annotation is inspect.Parameter.empty:
        return annotation
    return resolve(annotation, _globals(function), names)


def _resolved_or_text(function: Callable[..., Any], annotation: Any, names: Names | None) -> Any:
    try:
        return resolve(annotation, _globals(function), names)
    except NameError:
        return annotation


def _globals(function: Callable[..., Any]) -> Names:
    inner: Any = inspect.unwrap(function)
    found: Names = getattr(inner, "__globals__", {})
    return found


def _shown(annotation: Any) -> str:
    return "no annotation" if annotation is inspect.Parameter.empty else shown(annotation)


def _undefined(place: Place, error: NameError) -> str:
    return f"{place}: {error}; import it where the handler is (not only under `if TYPE_CHECKING`), ports go by type"


def check_message_kind(message: Any, wanted: tuple[str, ...], decorator: str) -> None:
    """Refuse what is no message of that kind. Raises TypeError naming the class, its place and the right decorator."""
    kind = kind_of(message)
    if kind not in wanted:
        right = "on" if kind == "event" else "handle"
        raise TypeError(f"{Place.of_message(message)} is {kind!r}: use `{right}`, not `{decorator}`")
