"""What every part of a run stands on: its choices, its time, and its story."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, NamedTuple

from insula.simulation.choices import Choice, Choices
from insula.simulation.faults import FAULTS
from insula.simulation.machine.loop import Lane, SimulatedLoop
from insula.store.database import Scope


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must hold did not.

    Parameters: `invariant`, its name; `detail`, what was found; `at`, virtual seconds.
    """

    invariant: str
    detail: str
    at: float

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"


# A named tuple: there are hundreds in a run, and frozen dataclasses take thrice as long to make.
class Happening(NamedTuple):
    """One line of a run's story.

    Parameters: `at`, virtual seconds; `where`, a service, "client" or "outside"; `kind` of thing; `what`. For those who
    draw it: `choice`, the fault of the plan that shows here; `services`, the others concerned; `messages`, ids of those
    that left or arrived; `seconds`, how long it lasts; `detail`, what was sent.
    """

    at: float
    where: str
    kind: str
    what: str
    choice: Choice | None = None
    services: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    seconds: float = 0.0
    detail: str = ""


class Ground(ABC):
    """The state of one run that everybody shares.

    `aliases` are short names of messages, by id: the operation that led to each.
    """

    def __init__(self, choices: Choices, lane_of: Callable[[Context], Lane], begins: float) -> None:
        self.choices = choices
        self.loop = SimulatedLoop(choices, lane_of, begins)
        self.story: list[Happening] = []
        self.aliases: dict[str, str] = {}
        self.violation: Violation | None = None
        self.over = False
        self.accepted: set[str] = set()
        """What systems outside have said yes to, with its arguments; they outlive every process."""

    def record(
        self,
        where: str,
        kind: str,
        what: str,
        *,
        choice: Choice | None = None,
        services: tuple[str, ...] = (),
        messages: tuple[str, ...] = (),
        seconds: float = 0.0,
        detail: str = "",
    ) -> None:
        """Add a line to the story; parameters as those of `Happening`."""
        at = round(self.loop.time(), 6)
        self.story.append(Happening(at, where, kind, what, choice, services, messages, seconds, detail))

    def fault(self, lane: str, key: str) -> Any:
        """Whether a fault of a kind strikes here: None, or its parameter."""
        return self.choices.fault(lane, key, FAULTS[lane].value)

    def fail(self, invariant: str, detail: str) -> None:
        """End the run: something does not hold."""
        if self.violation is None:
            self.violation = Violation(invariant, detail, round(self.loop.time(), 6))
            self.record("outside", "violation", str(self.violation))
            self.loop.stop()

    @abstractmethod
    def crash(self, process: Any, where: str, downtime_seconds: float, choice: Choice | None = None) -> None:
        """End a process at once; its service starts again later."""

    @abstractmethod
    def pause(self, process: Any, seconds: float, where: str, choice: Choice | None = None) -> None:
        """Let a process stand still."""

    @abstractmethod
    def committed(self, process: Any, module: str, units: Sequence[Scope], labels: Sequence[str]) -> None:
        """A batch of units is stored."""
