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

    def of(self, key: str, variant: str | None) -> Iterator[int]:
        """What counts one more with `next`, the same for every set of flags."""
        return self._counts.setdefault((key, variant), count())

    def read(self) -> dict[str, dict[str | None, int]]:
        """Key -> variant -> how often, without what never came; None stands for the code's default."""
        found: dict[str, dict[str | None, int]] = {}
        for (key, variant), counted in sorted(self._counts.items(), key=lambda each: (each[0][0], each[0][1] or "")):
            number = int(repr(counted).removeprefix("count(").removesuffix(")"))  # reading it must not step it
            if number:
                found.setdefault(key, {})[variant] = number
        return found
