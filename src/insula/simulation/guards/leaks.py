"""Finds what survives a simulated crash although it is no database: globals, class attributes and caches."""

from __future__ import annotations

import collections
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

from insula.simulation.machine.places import owner_of

_PLAIN = (str, int, float, bool, type(None), bytes)
_LISTS = (list, tuple, collections.deque)
_SETS = (set, frozenset)
_COUNTERS = (itertools.count, itertools.cycle)
_MOST_DEPTH, _MOST_ITEMS = 4, 2000

_ADVICE = "it survives a simulated crash. Keep it in the database, or make it in the module's port"


@dataclass(frozen=True, slots=True)
class Leak:
    """State that a run changed and a crash would not take away.

    Parameters: `module`; `name` of the variable, with its class if it is an attribute; `change`, what became of it.
    """

    module: str
    name: str
    change: str

    def __str__(self) -> str:
        return f"{self.module}: {self.name} {self.change}; {_ADVICE}"


@dataclass(frozen=True, slots=True)
class _State:
    kind: str
    size: int | None
    shape: object
    shown: str = ""

    def change(self, after: _State) -> str:
        """What became of this state, in words."""
        if self.size is not None and after.size is not None and self.size != after.size:
            grown = "grown" if after.size > self.size else "shrunk"
            return f"({after.kind}) has {grown} from {self.size:,} to {after.size:,} entries"
        if self.shown and after.shown:
            return f"({after.kind}) has changed from {self.shown} to {after.shown}"
        return f"({after.kind}) has changed"


class Leaks:
    """Compares the users' modules before and after what happens within.

    Insula's own, packages' and the standard library's modules are not looked at; neither are declarations such as
    modules, tables and messages, nor modules that were imported only meanwhile.
    """

    def __init__(self) -> None:
        self.findings: list[Leak] = []
        """What changed, by module and in the order of its variables. Filled when it is left."""
        self._before: dict[str, dict[str, _State]] = {}

    def __enter__(self) -> Self:
        self._before = {name: dict(_states(module)) for name, module in _users_modules()}
        return self

    def __exit__(self, *_: object) -> None:
        for module_name, module in _users_modules():
            before = self._before.get(module_name)
            if before is None:
                continue
            for name, after in _states(module):
                known = before.get(name)
                if known is not None and known.shape != after.shape:
                    self.findings.append(Leak(module_name, name, known.change(after)))
        self._before = {}


def _users_modules() -> Iterator[tuple[str, ModuleType]]:
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and owner_of(file) == "user" and name != "__mp_main__":
            yield name, module


def _states(module: ModuleType) -> Iterator[tuple[str, _State]]:
    """Every variable of a module and of its classes that holds state. One that was imported is its own module's."""
    for name, value in list(vars(module).items()):
        if name.startswith("__"):
            continue
        if _is(value, type):
            if value.__module__ == module.__name__ and not _declaration(value):
                yield from _attributes(value)
            continue
        state = _state(value, module.__name__)
        if state is not None:
            yield name, state


def _attributes(cls: type) -> Iterator[tuple[str, _State]]:
    for name, value in list(vars(cls).items()):
        if not name.startswith("__") and not _is(value, type):
            function = value.__func__ if _is(value, staticmethod, classmethod) else value
            state = _state(function, cls.__module__)
            if state is not None:
                yield f"{cls.__name__}.{name}", state


def _state(value: Any, module: str) -> _State | None:
    """The state of a variable, None for what holds none or is declared elsewhere."""
    kind = type(value)
    cache = getattr(value, "cache_info", None) if kind.__module__ == "functools" else None
    if cache is not None:
        return _State("functools.cache", cache().currsize, cache().currsize) if value.__module__ == module else None
    if kind in _PLAIN:
        text = repr(value)
        return _State(kind.__name__, None, text, text if len(text) <= 40 else "")
    if kind in _COUNTERS:
        return _State(f"itertools.{kind.__name__}", None, repr(value), repr(value))
    if _is(value, dict, *_LISTS, *_SETS) or _of_users(kind):
        size = len(value) if _is(value, dict, *_LISTS, *_SETS) else None
        return _State(kind.__name__, size, _Shape().of(value, 0))
    return None


class _Shape:
    """What can be compared of a value: a few levels deep, and none of its code runs."""

    def __init__(self) -> None:
        self._items = 0

    def of(self, value: Any, depth: int) -> object:
        """Equal for values that look alike."""
        kind = type(value)
        self._items += 1
        if kind in _PLAIN:
            return value
        if depth >= _MOST_DEPTH or self._items > _MOST_ITEMS:
            return kind.__name__
        if _is(value, dict):
            return [len(value), *((self.of(key, depth + 1), self.of(item, depth + 1)) for key, item in value.items())]
        if _is(value, *_LISTS):
            return [kind.__name__, len(value), *(self.of(item, depth + 1) for item in value)]
        if _is(value, *_SETS):
            return sorted(repr(self.of(item, depth + 1)) for item in value)
        if kind in _COUNTERS:
            return repr(value)
        if _of_users(kind):
            return [kind.__name__, *((name, self.of(item, depth + 1)) for name, item in _fields(value))]
        return kind.__name__


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object that are stored, not computed."""
    yield from list(getattr(value, "__dict__", {}).items())
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            descriptor = cls.__dict__.get(name)
            if descriptor is not None:
                try:
                    yield name, descriptor.__get__(value, type(value))
                except AttributeError:
                    pass


def _is(value: Any, *kinds: type) -> bool:
    """As isinstance, which asks the value itself: what stands for something else would look for that."""
    return issubclass(type(value), kinds)


def _of_users(kind: type) -> bool:
    """Whether users wrote the class, and not as a declaration."""
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and owner_of(file) == "user" and not _declaration(kind)


def _declaration(kind: type) -> bool:
    """Whether a class is a message or the like: its metaclass or an ancestor belongs to Insula or SQLAlchemy."""
    return any(each.__module__.partition(".")[0] in ("insula", "sqlalchemy") for each in (type(kind), *kind.__mro__))
