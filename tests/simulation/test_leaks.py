"""What survives a simulated crash although it is no database is named."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import MetaData

from insula import Command, Module, System
from insula.simulation import Plan, Simulation
from insula.simulation.guards.leaks import Leaks
from insula.simulation.simulation import Stage

OpenStage = Callable[[Simulation], Stage]


class Ask(Command[None]):
    what: str


@dataclass
class Breaker:
    failures: list[str] = field(default_factory=list)


class Slotted:
    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Basket:
    everything: set[str] = set()


class StandIn:
    """Stands for an object that is not there yet, as request-bound proxies do."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("asked too early")


stand_in = StandIn()
prices: dict[str, int] = {}
votes: Counter[str] = Counter(["tea"])
waiting = ["a", "b"]
numbers = itertools.count(7)
breaker = Breaker()
slotted = Slotted()
asked = 0
tables = MetaData()
untouched = {"tea": [1, 2]}


@functools.lru_cache
def price_of(product: str) -> int:
    return len(product)


def count_up() -> None:
    global asked  # noqa: PLW0603 - the very thing to be found
    asked += 1


def add_one() -> None:
    slotted.count += 1


CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "dictionary": (lambda: prices.update(tea=1, lamp=2, cup=3), "prices (dict) has grown from 0 to 3 entries"),
    "entry": (lambda: votes.update(["tea"]), "votes (Counter) has changed"),
    "list": (waiting.clear, "waiting (list) has shrunk from 2 to 0 entries"),
    "series": (
        lambda: next(numbers),
        "numbers (itertools.count) has changed from count(7) to count(8)",
    ),
    "object": (lambda: breaker.failures.append("no"), "breaker (Breaker) has changed"),
    "object with slots": (add_one, "slotted (Slotted) has changed"),
    "number": (count_up, "asked (int) has changed from 0 to 1"),
    "class": (lambda: Basket.everything.add("tea"), "Basket.everything (set) has grown from 0 to 1 entries"),
    "cache": (lambda: price_of("tea"), "price_of (functools.cache) has grown from 0 to 1 entries"),
    "nothing": (lambda: untouched["tea"], ""),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_state_that_a_crash_leaves_alone_is_named(open_stage: OpenStage, changed: str) -> None:
    module = Module("asking", tables=tables)

    @module.handle(Ask)
    async def answer(command: Ask) -> None:
        CHANGES[command.what][0]()

    stage = open_stage(Simulation(System("questions", module), [Ask(what=changed)]))
    with Leaks() as leaks:
        stage.run(1, Plan(1))
    expected = CHANGES[changed][1]
    advice = "it survives a simulated crash. Keep it in the database, or make it in the module's port"
    assert [str(each) for each in leaks.findings] == ([f"{__name__}: {expected}; {advice}"] if expected else [])


def test_the_shop_leaks_nothing(open_stage: OpenStage) -> None:
    from shop.simulation import survival

    stage = open_stage(survival)
    with Leaks() as leaks:
        stage.run(4)
    assert leaks.findings == []
