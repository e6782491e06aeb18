"""Flags as they are declared and asked for in code: with a type, a default, an owner and a last day."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, ClassVar, Generic, TypeVar
from weakref import WeakSet

from insula.flags.current import current
from insula.flags.errors import FlagError
from insula.flags.flags import Flags
from insula.flags.kinds import Kind, Unfit, fitted
from insula.flags.outcome import Details
from insula.flags.pinning import pinned_before, pins
from insula.kernel.context import process_state
from insula.modules.declaration import Place

T = TypeVar("T")


class DeclaredFlag(Generic[T]):
    """A flag that code asks for. What it says comes from the flags of the process, see `use`.

    Parameters: `key`; `default`, what holds where the flags have no answer; `owner`, who takes it out again; `expires`,
    the last day on which it is meant to be there, after which `insula check` lists it; `description`.
    Raises `FlagError` for a default of another type.
    """

    kind: ClassVar[Kind]
    _question: ClassVar[str] = "value(…)"

    def __init__(
        self, key: str, *, default: T, owner: str = "", expires: date | None = None, description: str = ""
    ) -> None:
        self.place = Place.of_frame(sys._getframe(1), f"flag {key}")
        if not isinstance(key, str) or not key:
            raise FlagError(f"{self.place}: a key is a text that is not empty, not {key!r}")
        if expires is not None and type(expires) is not date:
            raise FlagError(f"{self.place}: expires={expires!r} is no date; write it like date(2027, 3, 1)")
        try:
            self._default: T = fitted(default, self.kind)
        except Unfit:
            raise FlagError(f"{self.place}: default={default!r} is no {self.kind}") from None
        self.key = key
        self.owner = owner
        self.expires = expires
        self.description = description
        _declared.add(self)

    @property
    def default(self) -> T:
        """What holds where the flags have no answer."""
        return self._default

    def value(self, subject: Any = None, /, **context: Any) -> T:
        """What the flag comes to. It never raises.

        Parameters: `subject`, whose buckets and allow-lists count; by name, what targeting may ask for.
        """
        return self._details(subject, context).value  # type: ignore[no-any-return]

    def details(self, subject: Any = None, /, **context: Any) -> Details:
        """The same with variant, reason and error code."""
        return self._details(subject, context)

    def _details(self, subject: Any, context: Mapping[str, Any]) -> Details:
        return current().details(self.key, self._default, self.kind, subject, context)

    def is_expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return self.expires is not None and self.expires < today

    def __bool__(self) -> bool:
        raise TypeError(f"{self} is always there; ask {self._question} whether it is so")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, bool | str | int | float | dict | list):
            raise TypeError(f"{self} is a flag and no value; compare {self._question}")
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r}, default={self._default!r})"


class BooleanFlag(DeclaredFlag[bool]):
    """A flag that is on or off."""

    kind = "boolean"
    _question = "is_on(…)"

    def is_on(self, subject: Any = None, /, **context: Any) -> bool:
        """Whether it is on. It never raises.

        Parameters: `subject`, whose buckets and allow-lists count; by name, what targeting may ask for.
        """
        try:  # what `Flags.details` does, without the price of calling it: this stands in inner loops
            flags = process_state.get()[Flags]
            if (pinned_before and pins.get() is not None) or (flags.watched and flags.monotonic() >= flags.look_at):
                return self._details(subject, context).value is True
            outcome = flags.deciders[self.key](subject, context)
        except Exception:
            return self._details(subject, context).value is True
        value = outcome.value
        if value.__class__ is not bool:
            return self._details(subject, context).value is True
        next(outcome.counter)
        return value


class StringFlag(DeclaredFlag[str]):
    """A flag whose values are texts."""

    kind = "string"


class NumberFlag(DeclaredFlag[float]):
    """A flag whose values are numbers, integers among them."""

    kind = "number"


class ObjectFlag(DeclaredFlag[Any]):
    """A flag whose values are objects or lists of JSON; each reader gets a copy of its own."""

    kind = "object"


_declared: WeakSet[DeclaredFlag[Any]] = WeakSet()


def declared_flags() -> Iterator[DeclaredFlag[Any]]:
    """The flags that the code imported so far declares, in the order of their keys and places."""
    yield from sorted(_declared, key=lambda flag: (flag.key, flag.place.file, flag.place.line))


def contradictions() -> Iterator[str]:
    """Keys that are declared more than once, with other types or defaults."""
    first: dict[str, DeclaredFlag[Any]] = {}
    for flag in declared_flags():
        known = first.setdefault(flag.key, flag)
        if (known.kind, known.default) != (flag.kind, flag.default):
            yield f"{flag.place}: default={flag.default!r}, but {known.default!r} at {known.place}"
