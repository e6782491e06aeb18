"""The only source of chance in a simulation: named choices, so that taking one away shifts no other.

A choice has a lane ("crash") and a key that says what it is about by its cause ("orders: after commit of
orders.place_order[3]"). By seed it is decided by hashing seed, lane and key; by plan it is looked up. So a seed, a
plan, its replay, its shrinking and a sweep of single faults are one mechanism.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from insula.kernel.randomness import SeededRandomness

Choice = tuple[str, str]
"""Lane and key."""

LATENCY, ORDER = "latency", "order"
"""The lanes that are no faults: how long things take, and who goes first."""

_TWO_TO_64 = float(1 << 64)


@dataclass(frozen=True)
class Plan:
    """Every choice of a run that differs from "nothing goes wrong", and the operations that are left out.

    Parameters: `seed`, from which the workload draws; `choices`, lane and key -> what was chosen; `dropped`, names of
    the workload's operations that do not take place.
    """

    seed: int
    choices: Mapping[Choice, Any] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()

    @property
    def faults(self) -> list[Choice]:
        """The choices that are faults."""
        return [choice for choice in self.choices if choice[0] not in (LATENCY, ORDER)]

    def to_json(self) -> bytes:
        """The plan as a file: replays exactly, without the seed's chance."""
        document = {
            "seed": self.seed,
            "choices": [[lane, key, value] for (lane, key), value in self.choices.items()],
            "dropped": sorted(self.dropped),
        }
        return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Plan:
        """Read what `to_json` wrote. Raises ValueError saying what does not fit."""
        document = msgspec.json.decode(data, type=_Document)
        return cls(
            document.seed,
            {(lane, key): value for lane, key, value in document.choices},
            frozenset(document.dropped),
        )


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seed: int
    choices: list[tuple[str, str, Any]]
    dropped: list[str]


class Choices:
    """Decides by seed and probabilities, or by plan.

    Parameters: `seed`; `chances`, lane -> probability of a fault; `plan`, decides alone when given.
    `taken` holds what was chosen apart from the default, `offered` every fault that could have been chosen, with what
    makes its parameter.
    """

    def __init__(self, seed: int, chances: Mapping[str, float], plan: Plan | None = None) -> None:
        self.seed = seed
        self.faults_on = True
        self.taken: dict[Choice, Any] = {}
        self.offered: dict[Choice, Any] = {}
        self._chances = chances
        self.dropped = frozenset[str]() if plan is None else plan.dropped
        self._plan = None if plan is None else plan.choices
        self._order = SeededRandomness(f"{seed}/order").random
        self._turns = 0
        self._counts: dict[str, int] = {}

    def number(self, key: str) -> str:
        """The key with the number of times it was asked for: "x", "x #2", ..."""
        count = self._counts.get(key, 0) + 1
        self._counts[key] = count
        return key if count == 1 else f"{key} #{count}"

    def uniform(self, lane: str, key: str) -> float:
        """A number in [0, 1), the same whenever this seed is asked about this lane and key."""
        digest = hashlib.blake2b(f"{self.seed}|{lane}|{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / _TWO_TO_64

    def fault(self, lane: str, key: str, value: Callable[[float], Any]) -> Any:
        """Whether a fault strikes here: None, or its parameter, made by `value` from a number in [0, 1)."""
        if not self.faults_on:
            return None
        choice = (lane, key)
        if self._plan is not None:
            found = self._plan.get(choice)
            if found is not None:
                self.taken[choice] = found
            else:
                self.offered[choice] = value
            return found
        chance = self._chances.get(lane, 0.0)
        if chance <= 0.0:
            return None
        self.offered[choice] = value
        if self.uniform(lane, key) >= chance:
            return None
        found = value(self.uniform(f"{lane} value", key))
        self.taken[choice] = found
        return found

    def latency(self, key: str, low: float, high: float) -> float:
        """Seconds that something takes, between `low`, the default, and `high`."""
        choice = (LATENCY, key)
        if self._plan is not None:
            seconds: float = self._plan.get(choice, low)
        else:
            seconds = round(low + (high - low) * self.uniform(LATENCY, key), 6)
        if seconds != low:
            self.taken[choice] = seconds
        return seconds

    def among(self, count: int) -> int:
        """Which of several processes goes next; the first by default."""
        if count == 1:
            return 0
        self._turns += 1
        choice = (ORDER, str(self._turns))
        if self._plan is not None:
            chosen: int = self._plan.get(choice, 0)
            chosen = chosen if chosen < count else 0
        else:
            chosen = int(self._order() * count)
        if chosen:
            self.taken[choice] = chosen
        return chosen
