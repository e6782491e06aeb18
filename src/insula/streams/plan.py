"""What a flow consists of: a value, from which each run opens its own stages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from insula.kernel.clock import Clock
from insula.kernel.notes import leave_note
from insula.streams.counters import Counters, Tallies
from insula.streams.delivery import settle
from insula.streams.stage import Position, Stage

Opening = Callable[[Position], Stage[Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a plan: its name, how it is opened, the steps within it, and its counts over all runs."""

    name: str
    opening: Opening
    inner: tuple[Step, ...] = ()
    tallies: Tallies = field(default_factory=Tallies)

    def open(self, clock: Clock, *upstream: Stage[Any]) -> Stage[Any]:
        """The stage of a new run, on top of those before it."""
        return self.opening(Position(self.name, self.tallies, clock, upstream))

    def counters(self) -> list[Counters]:
        """Its own, and those of the steps within it."""
        return [self.tallies.counters(self.name), *(counters for step in self.inner for counters in step.counters())]


@dataclass(frozen=True, slots=True)
class Plan:
    """A source and the steps after it.

    `weight` items of the source go into one of the end, and with fewer than `needs` in flight the flow could wait for
    ever for a batch to fill; `in_flight` is how many its source allows. `numbering` stands before the numbers of lanes'
    steps.
    """

    source: Step
    clock: Clock
    in_flight: float = inf
    weight: int = 1
    needs: int = 1
    steps: tuple[Step, ...] = ()
    numbering: str = ""

    def next_number(self) -> str:
        """What the next step is counted as."""
        return f"{self.numbering}{len(self.steps) + 1}"

    def then(self, name: str, opening: Opening, inner: tuple[Step, ...] = ()) -> Plan:
        """One step more."""
        return replace(self, steps=(*self.steps, Step(f"{self.next_number()}. {name}", opening, inner)))

    def holding(self, weight: int, needs: int) -> Plan:
        """The same, where the last step holds items back until it has several.

        Raises ValueError if the source never allows so many in flight.
        """
        if needs > self.in_flight:
            raise ValueError(
                f"Flow: stage {self.steps[-1].name} may wait for {needs} items, but only in_flight={self.in_flight} "
                "ever are in flight; raise in_flight, make batches smaller, or give them a time (`within`)"
            )
        return replace(self, weight=weight, needs=needs)

    def open(self) -> Stage[Any]:
        """The last stage of a new run; nothing is pulled yet."""
        return open_steps(self.steps, self.clock, self.source.open(self.clock))

    async def run(self) -> AsyncGenerator[Any, None]:
        """One run: what leaves the end, each acknowledged when the next one is asked for."""
        last = self.open()
        try:
            while True:
                try:
                    element = await last.pull()
                except StopAsyncIteration:
                    break
                yield element[0]
                if element[1]:
                    await settle(element)
        except BaseException as error:
            for other in await last.stop():
                leave_note(error, f"While the flow was stopped: {other!r}")
            raise
        errors = await last.stop()
        if errors:
            raise errors[0]


def open_steps(steps: tuple[Step, ...], clock: Clock, stage: Stage[Any]) -> Stage[Any]:
    """The last of these steps, opened on top of a stage."""
    for step in steps:
        stage = step.open(clock, stage)
    return stage
