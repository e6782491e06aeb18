"""A breaker against a plain reference, over random sequences of calls that overlap."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from insula.resilience import CircuitBreaker, CircuitOpen
from insula.resilience.circuit_states import Verdict
from insula.testing import virtual_time

THRESHOLD, OPEN_SECONDS = 3, 10.0


@dataclass
class Reference:
    """What the words of the documentation say, with no regard to speed."""

    probes: int
    state: str = "closed"
    failures: int = 0
    opened_at: float = 0.0
    passed: int = 0
    epoch: int = 0
    probing: set[int] = field(default_factory=set)

    def enter(self, state: str, now: float) -> None:
        self.state, self.failures, self.passed, self.opened_at = state, 0, 0, now
        self.epoch += 1
        self.probing.clear()

    def may(self, call: int, now: float) -> bool:
        if self.state == "open" and now - self.opened_at >= OPEN_SECONDS:
            self.enter("half-open", now)
        if self.state == "half-open":
            if self.passed + len(self.probing) >= self.probes:
                return False
            self.probing.add(call)
        return self.state != "open"

    def ended(self, call: int, epoch: int, verdict: Verdict, now: float) -> None:
        if epoch != self.epoch:
            return
        self.probing.discard(call)
        if verdict is Verdict.NEITHER:
            return
        if verdict is Verdict.FAILURE:
            self.failures += 1
            if self.state == "half-open" or self.failures == THRESHOLD:
                self.enter("open", now)
        else:
            self.failures = 0
            self.passed += 1
            if self.state == "half-open" and self.passed == self.probes:
                self.enter("closed", now)


STEPS = st.lists(
    st.one_of(
        st.just("begin"),
        st.tuples(st.integers(0, 30), st.sampled_from(list(Verdict))),
        st.sampled_from([1.0, 4.0, 10.0]),
    ),
    max_size=120,
)
ERRORS = {Verdict.SUCCESS: None, Verdict.FAILURE: ConnectionError(), Verdict.NEITHER: GeneratorExit()}


@settings(max_examples=300)
@given(STEPS, st.integers(1, 3))
def test_it_lets_through_exactly_what_the_reference_does(steps: list[object], probes: int) -> None:
    with virtual_time() as clock:
        breaker = CircuitBreaker(THRESHOLD, OPEN_SECONDS, probes, probe_seconds=1e9)
        circuit = breaker.circuits.current()
        reference = Reference(probes)
        running: list[tuple[int, int, object, int]] = []
        for call, step in enumerate(steps):
            if step == "begin":
                expected = reference.may(call, clock.monotonic())
                try:
                    admitted = circuit.admit(None)
                except CircuitOpen:
                    assert not expected
                else:
                    assert expected
                    running.append((call, reference.epoch, *admitted))
            elif isinstance(step, float):
                clock.advance(step)
            elif running:
                place, verdict = step
                number, epoch, state, permit = running.pop(place % len(running))
                reference.ended(number, epoch, verdict, clock.monotonic())
                circuit.settle(state, permit, breaker.verdict(ERRORS[verdict]) if ERRORS[verdict] else verdict, None)
            assert breaker.snapshot().state == reference.state
