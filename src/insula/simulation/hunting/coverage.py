"""What a hunt has reached: handlers, crash points, kinds of fault."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from insula.modules import Assembly, HandlerDeclaration, Module
from insula.simulation.choices import LATENCY, ORDER, Choice
from insula.simulation.simulation import Outcome

_WHICH = re.compile(r"\[[^\]]*\]| #\d+")


def point_of(choice: Choice) -> str:
    """The effect boundary of a choice, whichever message it was about."""
    return _WHICH.sub("", choice[1])


@dataclass
class Coverage:
    """Counts over many runs.

    Fields: `handlers`, commits by handler; `struck`, faults by kind; `crash_points`, where a process could die;
    `crashes`, where it did; `seen`, runs in which each `sometimes` was true.
    """

    handlers: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    crash_points: set[str] = field(default_factory=set)
    crashes: set[str] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.handlers.update(outcome.reached)
        self.seen.update(outcome.seen)
        self.crash_points.update(point_of(choice) for choice in outcome.offered if choice[0] == "crash")
        for choice in outcome.plan.choices:
            if choice[0] not in (LATENCY, ORDER):
                self.struck[choice[0]] += 1
            if choice[0] == "crash":
                self.crashes.add(point_of(choice))
                self.crash_points.add(point_of(choice))

    def merge(self, other: Coverage) -> None:
        """Add what another hunt has reached."""
        self.handlers.update(other.handlers)
        self.struck.update(other.struck)
        self.seen.update(other.seen)
        self.crash_points |= other.crash_points
        self.crashes |= other.crashes

    def missed(self, assembly: Assembly) -> list[str]:
        """The handlers of commands, events and schedules that no run has reached."""
        writing = [item.name for _, item in assembly.handlers.values() if item.kind == "command"]
        listening = [item.name for _, item in (*assembly.consumers, *assembly.schedules)]
        return sorted(name for name in {*writing, *listening} if not self.handlers[name])

    def lines(self, assembly: Assembly) -> Iterable[str]:
        """The coverage in words."""
        missed = self.missed(assembly)
        handled = len({*self.handlers} & {item.name for _, item in _all(assembly)})
        yield f"handlers: {handled} of {handled + len(missed)}" + (f"; never {', '.join(missed)}" if missed else "")
        yield f"crash points: {len(self.crashes)} of {len(self.crash_points)} hit"
        yield "faults: " + (", ".join(f"{kind} {count:,}" for kind, count in sorted(self.struck.items())) or "none")


def _all(assembly: Assembly) -> Iterable[tuple[Module, HandlerDeclaration]]:
    return (*assembly.handlers.values(), *assembly.consumers, *assembly.schedules)
