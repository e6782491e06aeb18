"""Chance as a port: the only place that draws random numbers."""

from __future__ import annotations

import random
from typing import Protocol


class Randomness(Protocol):
    """A source of chance."""

    def random(self) -> float:
        """A number in [0, 1)."""

    def bits(self, n: int) -> int:
        """An integer of `n` random bits, 0 to 2**n - 1."""


class SystemRandomness:
    """The operating system's source: unguessable, and not shared by forked processes."""

    def __init__(self) -> None:
        source = random.SystemRandom()
        self._random = source.random
        self._bits = source.getrandbits

    def random(self) -> float:
        """A number in [0, 1)."""
        return self._random()

    def bits(self, n: int) -> int:
        """An integer of `n` random bits."""
        return self._bits(n)


class SeededRandomness:
    """The same numbers for the same seed, on every machine: for tests and the simulator, never for secrets.

    Parameters: `seed`, an integer or a text.
    """

    def __init__(self, seed: int | str) -> None:
        source = random.Random(seed)
        self._random = source.random
        self._bits = source.getrandbits

    def random(self) -> float:
        """The next number in [0, 1)."""
        return self._random()

    def bits(self, n: int) -> int:
        """The next integer of `n` bits."""
        return self._bits(n)
