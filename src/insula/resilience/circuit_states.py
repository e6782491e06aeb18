"""The states of a circuit: small objects with the same verbs. Pure: time is given, and nobody waits or locks here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import count
from math import inf
from typing import Protocol

from insula.resilience.events import Closed as ClosedEvent
from insula.resilience.events import Event, HalfOpened, Opened
from insula.resilience.outcome_window import CallWindow, OutcomeWindow, TimeWindow, Totals


class Verdict(Enum):
    """What the end of a call says about the callee."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When a circuit opens and closes; as the parameters of `CircuitBreaker`, in seconds and checked."""

    failure_threshold: int | None
    failure_rate: float | None
    slow_rate: float | None
    slow_seconds: float
    window_calls: int | None
    window_seconds: float | None
    minimum_calls: int
    open_seconds: float
    longest_open_seconds: float
    probes: int
    probe_seconds: float
    asks_others: bool

    def window(self) -> OutcomeWindow:
        """An empty window."""
        if self.window_seconds is not None:
            return TimeWindow(self.window_seconds)
        return CallWindow(self.window_calls or 1)


class CircuitState(Protocol):
    """What every state can do.

    `name`, for people. `calm` says that in this state a call is let through and a success changes nothing, so that
    neither needs to be told.
    """

    name: str
    calm: bool

    def due(self, now: float) -> CircuitState | None:
        """The state that has taken its place by now, if time alone did that."""

    def admit(self, now: float) -> int | None:
        """Let a call through and give it a number, or refuse it: None."""

    def settle(self, number: int, verdict: Verdict, now: float) -> CircuitState | None:
        """A call of this state has ended; the state that follows from it, if one does."""

    def retry_after(self, now: float) -> float | None:
        """Seconds until it is worth trying again; None if not known."""

    def totals(self, now: float) -> Totals:
        """The calls that count at the moment."""
        ...

    def event(self, policy: str) -> Event:
        """What to tell when this state begins."""
        ...


class CountingClosed:
    """Closed; opens after so many failures in a row."""

    __slots__ = ("_failures", "_rules", "calm")
    name = "closed"

    def __init__(self, rules: CircuitRules) -> None:
        self._rules = rules
        self._failures = 0
        self.calm = not rules.asks_others

    def due(self, now: float) -> CircuitState | None:
        """Time changes nothing."""
        return None

    def admit(self, now: float) -> int | None:
        """Everything."""
        return 0

    def settle(self, number: int, verdict: Verdict, now: float) -> CircuitState | None:
        """Count failures; a success begins anew."""
        if verdict is Verdict.SUCCESS:
            self._failures = 0
        elif verdict is Verdict.FAILURE:
            self._failures += 1
        self.calm = self._failures == 0 and not self._rules.asks_others
        if self._failures < (self._rules.failure_threshold or 1):
            return None
        return Open(self._rules, now, f"{self._failures} failures in a row")

    def retry_after(self, now: float) -> float | None:
        """At once."""
        return 0.0

    def totals(self, now: float) -> Totals:
        """The failures in a row."""
        return Totals(self._failures, self._failures, 0)

    def event(self, policy: str) -> Event:
        """It closed."""
        return ClosedEvent(policy)


class WatchingClosed:
    """Closed; opens when too many of the last calls failed or were slow, those included that are slow and still run."""

    __slots__ = ("_next", "_rules", "_running", "_slow", "_window", "calm")
    name = "closed"

    def __init__(self, rules: CircuitRules) -> None:
        self._rules = rules
        self._window = rules.window()
        self._next = count(1).__next__
        self._running: dict[int, float] = {}
        self._slow: dict[int, int] = {}
        self.calm = False

    def due(self, now: float) -> CircuitState | None:
        """Count the running calls that have become slow."""
        if not self._note_slow(now):
            return None
        return self._verdict(now)

    def _note_slow(self, now: float) -> bool:
        limit, noted = now - self._rules.slow_seconds, False
        while self._running:
            number, began = next(iter(self._running.items()))
            if began > limit:
                break
            del self._running[number]
            self._slow[number] = self._window.add(now, failed=False, slow=True)
            noted = True
        return noted

    def admit(self, now: float) -> int | None:
        """Everything; remembers when it began if it may become slow."""
        number = self._next()
        if self._rules.slow_rate is not None:
            self._running[number] = now
        return number

    def settle(self, number: int, verdict: Verdict, now: float) -> CircuitState | None:
        """Note the outcome."""
        self._note_slow(now)
        self._running.pop(number, None)
        handle = self._slow.pop(number, None)
        failed = verdict is Verdict.FAILURE
        if handle is None and verdict is not Verdict.NEITHER:
            self._window.add(now, failed, slow=False)
        elif handle is not None and failed:
            self._window.fail(handle)
        return self._verdict(now)

    def _verdict(self, now: float) -> CircuitState | None:
        totals, rules = self._window.totals(now), self._rules
        if totals.calls < rules.minimum_calls:
            return None
        if rules.failure_rate is not None and totals.failures >= rules.failure_rate * totals.calls:
            return Open(rules, now, f"{totals.failures} of {totals.calls} calls failed")
        if rules.slow_rate is not None and totals.slow >= rules.slow_rate * totals.calls:
            return Open(rules, now, f"{totals.slow} of {totals.calls} calls took over {rules.slow_seconds:g} s")
        return None

    def retry_after(self, now: float) -> float | None:
        """At once."""
        return 0.0

    def totals(self, now: float) -> Totals:
        """Those of the window."""
        return self._window.totals(now)

    def event(self, policy: str) -> Event:
        """It closed."""
        return ClosedEvent(policy)


class Open:
    """Refuses every call until its time is over. Parameters: `because`; `round`, how many times in a row it opened."""

    __slots__ = ("_round", "_rules", "_until", "because", "seconds")
    name = "open"
    calm = False

    def __init__(self, rules: CircuitRules, now: float, because: str, round_: int = 1) -> None:
        self._rules = rules
        self._round = round_
        self.because = because
        longest = max(rules.open_seconds, rules.longest_open_seconds)
        self.seconds = min(longest, rules.open_seconds * 2.0 ** min(round_ - 1, 60))
        self._until = now + self.seconds

    def due(self, now: float) -> CircuitState | None:
        """Half-open once the time is over."""
        return None if now < self._until else HalfOpen(self._rules, self._round)

    def admit(self, now: float) -> int | None:
        """Nothing."""
        return None

    def settle(self, number: int, verdict: Verdict, now: float) -> CircuitState | None:
        """None of its calls run."""
        return None

    def retry_after(self, now: float) -> float | None:
        """The rest of its time."""
        return max(0.0, self._until - now)

    def totals(self, now: float) -> Totals:
        """None."""
        return Totals()

    def event(self, policy: str) -> Event:
        """It opened."""
        return Opened(policy, self.seconds, self.because)


class HalfOpen:
    """Lets a few probes through; all must succeed to close it, one that fails opens it again."""

    __slots__ = ("_next", "_passed", "_round", "_rules", "_running")
    name = "half-open"
    calm = False
    because = "its probes are under way"

    def __init__(self, rules: CircuitRules, round_: int) -> None:
        self._rules = rules
        self._round = round_
        self._passed = 0
        self._next = count(1).__next__
        self._running: dict[int, float] = {}

    def due(self, now: float) -> CircuitState | None:
        """A probe that never came back makes room."""
        for number, began in list(self._running.items()):
            if now - began >= self._rules.probe_seconds:
                del self._running[number]
        return None

    def admit(self, now: float) -> int | None:
        """As many as may still be needed, no more."""
        if self._passed + len(self._running) >= self._rules.probes:
            return None
        number = self._next()
        self._running[number] = now
        return number

    def settle(self, number: int, verdict: Verdict, now: float) -> CircuitState | None:
        """Whatever ends makes room; one that was given up says nothing any more."""
        if self._running.pop(number, None) is None or verdict is Verdict.NEITHER:
            return None
        if verdict is Verdict.FAILURE:
            return Open(self._rules, now, "a probe failed", self._round + 1)
        self._passed += 1
        return closed(self._rules) if self._passed >= self._rules.probes else None

    def retry_after(self, now: float) -> float | None:
        """When the oldest probe is given up at the latest; usually earlier, so it is not promised."""
        return None

    def totals(self, now: float) -> Totals:
        """The probes that have ended well."""
        return Totals(self._passed, 0, 0)

    def event(self, policy: str) -> Event:
        """It lets probes through."""
        return HalfOpened(policy, self._rules.probes)


class Forced:
    """Held open or closed by hand, whatever happens. Parameters: `is_open`."""

    __slots__ = ("calm", "is_open", "name")
    because = "it is held open by hand"

    def __init__(self, is_open: bool) -> None:
        self.is_open = is_open
        self.name = "forced open" if is_open else "forced closed"
        self.calm = not is_open

    def due(self, now: float) -> CircuitState | None:
        """Time changes nothing."""
        return None

    def admit(self, now: float) -> int | None:
        """Everything or nothing."""
        return None if self.is_open else 0

    def settle(self, number: int, verdict: Verdict, now: float) -> CircuitState | None:
        """Nor does an outcome."""
        return None

    def retry_after(self, now: float) -> float | None:
        """When somebody lets go of it."""
        return None

    def totals(self, now: float) -> Totals:
        """None."""
        return Totals()

    def event(self, policy: str) -> Event:
        """It opened or closed."""
        return Opened(policy, inf, self.because) if self.is_open else ClosedEvent(policy)


def closed(rules: CircuitRules) -> CircuitState:
    """The closed state of a circuit with these rules."""
    return CountingClosed(rules) if rules.failure_threshold is not None else WatchingClosed(rules)
