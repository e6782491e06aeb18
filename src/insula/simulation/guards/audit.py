"""Finds what makes a run differ from its replay: calls of the user's code to real clocks, chance, threads, sockets."""

from __future__ import annotations

from dataclasses import dataclass
from types import FrameType
from typing import Self

from insula.simulation.guards.forbidden import PYTHON_FUNCTIONS, python_function, standard_name
from insula.simulation.guards.watching import Watch
from insula.simulation.machine.places import column_default, place, users_call

# They ask for the time and keep it to themselves, or write it where nobody under simulation reads it.
_HARMLESS = ("importlib", "logging", "warnings", "linecache", "traceback")


@dataclass(frozen=True, slots=True)
class Finding:
    """A call that a replay cannot repeat.

    Parameters: `what`, the function as users write it; `place`, "file:line in function"; `count`, how many times.
    """

    what: str
    place: str
    count: int

    def __str__(self) -> str:
        times = "" if self.count == 1 else f" ({self.count:,} times)"
        return f"{self.place}: {self.what}{times}"


class Audit:
    """While entered, names every call from the user's code to what differs from run to run.

    It watches calls of the functions themselves, so `from time import time` hides nothing; what C code calls for
    itself, as `map(time, …)` does, it does not see. Code in between that belongs to the standard library or to a
    package counts as the user's; what Insula and SQLAlchemy ask for themselves does not count.
    The thread runs about twice as slowly meanwhile.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._watch = Watch(self._called, self._started)

    @property
    def findings(self) -> list[Finding]:
        """What was found, in the order in which it first happened."""
        return [Finding(what, where, count) for (what, where), count in self._counts.items()]

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.stop()

    def _called(self, what: str, frame: FrameType) -> None:
        """A forbidden C function is called in `frame`."""
        self._note(what, frame)

    def _started(self, frame: FrameType) -> None:
        """A Python function that ends in a forbidden one begins in `frame`."""
        what = python_function(frame)
        if what is not None:
            self._note(what, frame.f_back)

    def _note(self, what: str, caller: FrameType | None) -> None:
        user, entered = users_call(caller)
        where = column_default(caller) if user is None else place(user)
        if where is None or (entered is not None and entered.f_code in PYTHON_FUNCTIONS):
            return  # the framework asked for itself, or it was counted when the outer function began
        if entered is not None:
            what = standard_name(entered)
        if not what.startswith(_HARMLESS):
            self._counts[what, where] = self._counts.get((what, where), 0) + 1
