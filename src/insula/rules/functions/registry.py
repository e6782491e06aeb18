"""Functions by name, and for each the types it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from insula.rules.errors import NoOverload, hint
from insula.rules.values import named

Implementation = Callable[..., Any]
Types = tuple[type, ...]


class Function:
    """One name. Call it with values; it raises `NoOverload` for types that it does not take.

    `cost` is how many steps a call takes, beside those of what it answers.
    Parameters: `overloads`, types -> what is done for them; `general`, what is done for all others (default: refused).
    """

    cost = 0
    weigh: Callable[..., int] | None = None
    """What a call takes for these values, where that is more than they and the answer are long."""

    def __init__(
        self, name: str, overloads: Mapping[Types, Implementation], general: Implementation | None = None
    ) -> None:
        self.name = name
        self.overloads = dict(overloads)
        self._general = general

    def __call__(self, *arguments: Any) -> Any:
        implementation = self.overloads.get(tuple(each.__class__ for each in arguments), self._general)
        if implementation is None:
            raise NoOverload(f"{self.name}({named(*arguments)}): it does not take these")
        return implementation(*arguments)


def missing_function(name: str, known: Iterable[str], others: Iterable[str], *, is_method: bool) -> str:
    """What to say of one that there is not. Parameters: `known`, those that are called so; `others`, the other way."""
    if name in others:
        return f"{name} is called as {name}(x)" if is_method else f"{name} is called as x.{name}()"
    return f"there is no function {name}{hint(name, known)}"


class Functions:
    """A collection: plain functions, called `f(x)`, and methods, called `x.f()`."""

    def __init__(self, *others: Functions) -> None:
        self.plain: dict[str, Function] = {}
        self.methods: dict[str, Function] = {}
        for other in others:
            self.plain |= other.plain
            self.methods |= other.methods

    def function(self, name: str, overloads: Mapping[Types, Implementation]) -> None:
        """Add a plain function."""
        self.plain[name] = Function(name, overloads)

    def method(self, name: str, overloads: Mapping[Types, Implementation]) -> None:
        """Add a method; its target is the first of its types."""
        self.methods[name] = Function(name, overloads)

    def of_anything(self, name: str, implementation: Implementation) -> None:
        """Add a plain function that looks at its values itself."""
        self.plain[name] = Function(name, {}, implementation)

    def method_of_anything(self, name: str, implementation: Implementation) -> None:
        """Add a method that looks at its values itself."""
        self.methods[name] = Function(name, {}, implementation)

    def weigh(self, name: str, weigh: Callable[..., int]) -> None:
        """Say what a call of a function or method takes, before it is made."""
        for functions in (self.plain, self.methods):
            if name in functions:
                functions[name].weigh = weigh

    def both(self, names: Iterable[str], overloads: Mapping[Types, Implementation]) -> None:
        """Add a function under some names, plain and as a method."""
        for name in names:
            self.function(name, overloads)
            self.method(name, overloads)
