"""A circuit in one process: its state behind a lock that is never held while anybody's code runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from insula.kernel.errors import Unavailable
from insula.resilience.circuit_states import CircuitRules, CircuitState, Forced, Open, Verdict, closed
from insula.resilience.events import Refused
from insula.resilience.policy import Locked, Tell, machine


class CircuitOpen(Unavailable):
    """The breaker refuses the call, which did not take place; `retry_after` says when it may."""


class SharedVerdicts(Protocol):
    """What the processes of a service tell each other about a neighbour.

    Each publishes only what it has seen itself, and asks whether enough of them agree, so that one sick process does
    not cut off the others. Both are called between calls: they must answer from memory, at once. Where one raises, it
    is logged, and the process goes by what it sees itself.
    """

    def publish(self, breaker: str, is_open: bool) -> None:
        """This process has seen the circuit open, or close again."""

    def quorum_says_open(self, breaker: str) -> bool:
        """Whether enough processes have seen it open."""
        ...


@dataclass(frozen=True, slots=True)
class CircuitSnapshot:
    """A breaker at one moment, for a dashboard.

    Parameters: `name`; `state`: closed, open, half-open, forced open or forced closed; `calls`, `failures` and `slow`,
    those that count at the moment; `refused`, how many calls so far; `retry_after`, seconds until calls may pass.
    """

    name: str
    state: str
    calls: int
    failures: int
    slow: int
    refused: int
    retry_after: float | None


class Circuit(Locked):
    """The state of one breaker in one process. `state` may be read without the lock, and is replaced under it."""

    __slots__ = ("_name", "_rules", "_shadow", "_shared", "_trusts_itself", "monotonic", "refused", "state")

    def __init__(self, name: str, rules: CircuitRules, *, shadow: bool, shared: SharedVerdicts | None) -> None:
        super().__init__()
        self._name = name
        self._rules = rules
        self._shadow = shadow
        self._shared = shared
        self._trusts_itself = False
        self.monotonic = machine.current().monotonic
        self.refused = 0
        self.state = self._closed()

    def _closed(self) -> CircuitState:
        return closed(self._rules)

    def admit(self, tell: Tell | None) -> tuple[CircuitState, int]:
        """The state that lets this call through, and the call's number there. Raises `CircuitOpen`."""
        asks = self._shared is not None and self._quorum_says_open(self._shared)
        now = self.monotonic()
        with self.lock:
            before = self.state
            due = before.due(now) or self._opened_by_others(asks, now)
            state = self.state = due or before
            number = state.admit(now)
            self.refused += number is None
        self._after(before, state, tell, seen=not asks)
        if number is not None:
            return state, number
        because, retry_after = getattr(state, "because", state.name), state.retry_after(now)
        if tell is not None:
            tell(Refused(self._name, because, retry_after))
        if self._shadow:
            return _UNOBSERVED, 0
        wait = "" if retry_after is None else f"; try again in {retry_after:.3g} s"
        raise CircuitOpen(f"{self._name}: the circuit is {state.name}, {because}{wait}", retry_after=retry_after)

    def _quorum_says_open(self, shared: SharedVerdicts) -> bool:
        try:
            return shared.quorum_says_open(self._name)
        except Exception as error:
            self._log_shared(error)
            return False

    def _log_shared(self, error: Exception) -> None:
        import logging

        logging.getLogger("insula.resilience").error("%s: shared= failed", self._name, exc_info=error)

    def _opened_by_others(self, asks: bool, now: float) -> CircuitState | None:
        if self._shared is None or self.state.name != "closed":
            return None
        if not asks:
            self._trusts_itself = False
            return None
        # Its own probes have passed since the others said so: it would close and open for ever.
        return None if self._trusts_itself else Open(self._rules, now, "other processes have seen it fail")

    def settle(self, state: CircuitState, number: int, verdict: Verdict, tell: Tell | None) -> None:
        """A call has ended which `state` let through; if that is over by now, it says nothing about today."""
        now = self.monotonic()
        with self.lock:
            if self.state is not state:
                return
            following = state.settle(number, verdict, now)
            if following is None:
                return
            self.state = following
            self._trusts_itself = following.name == "closed"
        self._after(state, following, tell, seen=True)

    def force(self, state: CircuitState | None, tell: Tell | None) -> None:
        """Put it into a state by hand; None is a new, closed one."""
        following = state or self._closed()
        with self.lock:
            before, self.state = self.state, following
        self._after(before, following, tell, seen=False)

    def _after(self, before: CircuitState, after: CircuitState, tell: Tell | None, *, seen: bool) -> None:
        if before is after:
            return
        if self._shared is not None and seen and after.name in ("open", "closed"):
            try:
                self._shared.publish(self._name, after.name == "open")
            except Exception as error:
                self._log_shared(error)
        if tell is not None:
            tell(after.event(self._name))

    def snapshot(self) -> CircuitSnapshot:
        """How it is now."""
        now = self.monotonic()
        with self.lock:
            state, refused = self.state, self.refused
            totals = state.totals(now)
        return CircuitSnapshot(
            self._name, state.name, totals.calls, totals.failures, totals.slow, refused, state.retry_after(now)
        )


_UNOBSERVED = Forced(is_open=False)
