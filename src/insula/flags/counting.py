"""How often each flag came to each variant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count


class Counters:
    """Counts that cost little and lose nothing, whichever threads count at once.

    A `count` of itertools steps in one go of the interpreter, where `number += 1` takes several.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str | None], count[int]] = {}
        self._forgotten: dict[tuple[str, str | None], int] = {}

    def of(self, key: str, variant: str | None) -> Iterator[int]:
        """What counts one more with `next`, the same for every set of flags."""
        return self._counts.setdefault((key, variant), count())

    def read(self) -> dict[str, dict[str | None, int]]:
        """Key -> variant -> how often, without what never came; None stands for the code's default."""
        found: dict[str, dict[str | None, int]] = {}
        for place, counted in sorted(self._counts.items(), key=lambda each: (each[0][0], each[0][1] or "")):
            number = _number(counted) - self._forgotten.get(place, 0)
            if number:
                found.setdefault(place[0], {})[place[1]] = number
        return found

    def forget(self) -> None:
        """Count from nothing, with the same counters: flags that are in use have them in their hands."""
        self._forgotten = {place: _number(counted) for place, counted in self._counts.items()}


def _number(counted: count[int]) -> int:
    """Where a counter stands; reading it must not step it."""
    return int(repr(counted).removeprefix("count(").removesuffix(")"))
