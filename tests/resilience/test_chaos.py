from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import Rejection
from insula.resilience import Chaos, CircuitBreaker, CircuitOpen, ConstantBackoff, ResiliencePipeline, Retry
from insula.resilience.events import Injected
from insula.testing import VirtualClock, virtual_time
from support.ways import Script, Way


class SoldOut(Rejection):
    """Business says no."""

    left: int


def always(*arguments: object, **named: object) -> bool:
    return True


def test_it_is_off_until_somebody_turns_it_on(way: Way) -> None:
    chaos = Chaos(always, latency_seconds=60, error=ConnectionError)
    assert way.call(chaos, Script("paid")) == "paid"
    assert way.clock.monotonic() == 0.0


def test_a_call_that_is_struck_fails_without_having_taken_place(way: Way) -> None:
    script = Script("paid")
    with pytest.raises(ConnectionError):
        way.call(Chaos(always, error=ConnectionError, enabled=True), script)
    assert script.calls == 0


def test_latency_alone_lets_the_call_take_place(way: Way) -> None:
    assert way.call(Chaos(always, latency_seconds=2, enabled=True), Script("paid")) == "paid"
    assert way.clock.monotonic() == 2.0


def test_with_both_it_fails_late(way: Way) -> None:
    with pytest.raises(ConnectionError):
        way.call(Chaos(always, latency_seconds=2, error=ConnectionError, enabled=True), Script("paid"))
    assert way.clock.monotonic() == 2.0


def test_a_rejection_can_be_injected_and_is_not_retried(way: Way) -> None:
    chaos = Chaos(always, error=lambda: SoldOut(left=0), enabled=True)
    heard: list[Any] = []
    with pytest.raises(SoldOut):
        way.call(ResiliencePipeline(Retry(on=Exception), chaos, listener=heard.append), Script("paid"))
    assert [type(event) for event in heard] == [Injected]


def test_every_struck_call_has_an_error_of_its_own(way: Way) -> None:
    seen = []
    for _ in range(2):
        with pytest.raises(ConnectionError) as raised:
            way.call(Chaos(always, error=ConnectionError, enabled=True), Script("paid"))
        seen.append(raised.value)
    assert seen[0] is not seen[1]


def test_a_flag_drives_it_call_by_call(way: Way) -> None:
    flag = {"chaos": False}
    chaos = Chaos(always, error=ConnectionError, enabled=lambda: flag["chaos"])
    assert way.call(chaos, Script("paid")) == "paid"
    flag["chaos"] = True
    with pytest.raises(ConnectionError):
        way.call(chaos, Script("paid"))


@pytest.mark.parametrize("where", ["enabled", "when"])
def test_where_it_cannot_decide_it_strikes_nothing(way: Way, caplog: pytest.LogCaptureFixture, where: str) -> None:
    def broken() -> bool:
        raise KeyError("the flags are gone")

    chaos = Chaos(
        broken if where == "when" else always, error=ConnectionError, enabled=broken if where == "enabled" else True
    )
    with caplog.at_level(logging.ERROR, "insula.resilience"):
        assert way.call(chaos, Script("paid")) == "paid"
    assert "the flags are gone" in caplog.text


def test_a_rule_looks_at_the_arguments(clock: VirtualClock) -> None:
    @Chaos(lambda customer, **_: customer == "ann", error=ConnectionError, enabled=True)
    def charge(customer: str, *, amount: int) -> int:
        return amount

    assert charge("bob", amount=3) == 3
    with pytest.raises(ConnectionError):
        charge("ann", amount=3)


def struck(share: float, seed: int, calls: int) -> list[bool]:
    """Which of so many calls are struck in a process with that seed."""
    chaos, found = Chaos(share, error=ConnectionError, enabled=True), []
    with virtual_time(seed):
        for _ in range(calls):
            try:
                chaos.call(int)
                found.append(False)
            except ConnectionError:
                found.append(True)
    return found


@given(st.integers(0, 1000))
def test_the_same_seed_strikes_the_same_calls(seed: int) -> None:
    assert struck(0.5, seed, 50) == struck(0.5, seed, 50)


def test_a_share_is_one_of_many_calls() -> None:
    assert 200 < sum(struck(0.25, 7, 1000)) < 300
    assert sum(struck(1.0, 7, 100)) == 100


def test_whoever_listens_hears_what_is_injected(way: Way) -> None:
    heard: list[Any] = []
    way.call(Chaos(always, latency_seconds=2, enabled=True, name="chaos", listener=heard.append), Script("paid"))
    assert [(event.policy, event.latency_seconds, event.error) for event in heard] == [("chaos", 2.0, None)]


def test_innermost_it_tries_the_policies_around_it(way: Way) -> None:
    breaker = CircuitBreaker(failure_threshold=3)
    chaos = Chaos(always, error=ConnectionError, enabled=True)
    retry = Retry(on=ConnectionError, attempts=3, backoff=ConstantBackoff(0))
    with pytest.raises(ConnectionError):
        way.call(ResiliencePipeline(retry, breaker, chaos), Script("paid"))
    with pytest.raises(CircuitOpen):
        way.call(breaker, Script("paid"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, SoldOut, ConnectionError(), "error", 3])
def test_what_is_no_error_for_each_call_is_refused_with_what_to_write(error: Any) -> None:
    with pytest.raises(TypeError, match=r"^Chaos: error=.*write"):
        Chaos(0.5, error=error)


def test_what_a_function_makes_has_to_be_an_error(clock: VirtualClock) -> None:
    with pytest.raises(TypeError, match="made 'no', which is no Exception"):
        Chaos(always, error=lambda: "no", enabled=True).call(int)  # type: ignore[arg-type,return-value]
