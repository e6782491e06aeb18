"""When a group of items is complete: by number and age (batch), or by the clock on the wall (window). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor, inf
from typing import Any, Generic, Protocol, TypeVar

from insula.kernel.clock import Clock

T = TypeVar("T")


class Grouping(Protocol):
    """Decides which items go together."""

    @property
    def limit(self) -> int:
        """The most items of one group."""

    def time(self, clock: Clock) -> float:
        """Seconds on the clock that this grouping goes by."""

    def due(self, begun: float) -> float:
        """When a group that was begun then is complete; may be infinite."""

    def belongs(self, begun: float, arrived: float) -> bool:
        """Whether what arrived then may still join a group that was begun and not taken yet."""

    def group(self, begun: float, items: list[Any]) -> Any:
        """What goes on."""


@dataclass(frozen=True, slots=True)
class Batches:
    """Groups of at most `limit`, complete when they have as many or `within` seconds after their first item."""

    limit: int
    within: float = inf

    def time(self, clock: Clock) -> float:
        """Seconds that never go back."""
        return clock.monotonic()

    def due(self, begun: float) -> float:
        """So many seconds after the first item."""
        return begun + self.within

    def belongs(self, begun: float, arrived: float) -> bool:
        """Always: an old batch that nobody takes may as well grow."""
        return True

    def group(self, begun: float, items: list[Any]) -> list[Any]:
        """The items."""
        return items


@dataclass(frozen=True, slots=True)
class Window(Generic[T]):
    """The items that arrived from `start` up to, but not at, `end`; or part of them, if there were many."""

    start: datetime
    end: datetime
    items: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of so many seconds, one after the other, counted from 1970 in UTC: an hour begins on the hour."""

    seconds: float
    limit: int

    def time(self, clock: Clock) -> float:
        """Seconds since 1970."""
        return clock.now().timestamp()

    def number(self, at: float) -> int:
        """Which window a moment belongs to; its start belongs to it, its end to the next."""
        return floor(at / self.seconds)

    def due(self, begun: float) -> float:
        """The end of the window."""
        return (self.number(begun) + 1) * self.seconds

    def belongs(self, begun: float, arrived: float) -> bool:
        """Whether both are in the same window."""
        return self.number(begun) == self.number(arrived)

    def group(self, begun: float, items: list[Any]) -> Window[Any]:
        """The window with its bounds."""
        number = self.number(begun)
        start, end = (datetime.fromtimestamp(n * self.seconds, UTC) for n in (number, number + 1))
        return Window(start, end, tuple(items))
