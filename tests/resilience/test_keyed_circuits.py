"""A breaker with a circuit for each key."""

from __future__ import annotations

from typing import Any

import pytest

from insula.resilience import CircuitBreaker, CircuitOpen, ResiliencePipeline, Retry, Timeout
from insula.resilience.events import Event, Opened
from insula.testing import VirtualClock
from support.ways import Script, Way, raised_or

HOSTS: dict[str, Any] = {"a": ConnectionError(), "b": "answer"}


def keyed(**parameters: Any) -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=2, key=lambda host: host, name="bank", **parameters)


def ask(host: str) -> Any:
    return raised_or(HOSTS.get(host, "answer"))


def fail(breaker: CircuitBreaker, host: str, times: int = 2) -> None:
    for _ in range(times):
        with pytest.raises(ConnectionError):
            breaker.call(ask, host)


def test_a_host_that_fails_does_not_cut_off_another(clock: VirtualClock) -> None:
    breaker = keyed()
    fail(breaker, "a")
    with pytest.raises(CircuitOpen, match="bank for 'a': the circuit is open"):
        breaker.call(ask, "a")
    assert breaker.call(ask, "b") == "answer"
    assert (breaker.snapshot("a").state, breaker.snapshot("b").state) == ("open", "closed")


async def test_async_functions_have_their_keys_too(clock: VirtualClock) -> None:
    breaker = keyed()

    async def ask_async(host: str) -> Any:
        return ask(host)

    for _ in range(2):
        with pytest.raises(ConnectionError):
            await breaker.call(ask_async, "a")
    with pytest.raises(CircuitOpen):
        await breaker.call(ask_async, "a")
    assert await breaker.call(ask_async, "b") == "answer"


def test_it_closes_again_by_itself_or_by_hand(clock: VirtualClock) -> None:
    breaker = keyed(open_seconds=5)
    breaker.force_open("b")
    with pytest.raises(CircuitOpen):
        breaker.call(ask, "b")
    breaker.reset("b")
    assert breaker.call(ask, "b") == "answer"
    fail(breaker, "a")
    clock.advance(5)
    fail(breaker, "a", 1)
    assert breaker.snapshot("a").state == "open"


def test_events_say_which_key_it_was(clock: VirtualClock) -> None:
    heard: list[Event] = []
    fail(keyed(listener=heard.append), "a")
    assert [(type(event), event.policy) for event in heard] == [(Opened, "bank for 'a'")]


def test_no_more_keys_are_kept_than_allowed_and_those_that_fail_are_kept_longest(clock: VirtualClock) -> None:
    breaker = keyed(most_keys=10)
    fail(breaker, "a")
    for number in range(1000):
        breaker.call(ask, f"host {number}")
    assert len(breaker._by_key.current()) == 10
    assert breaker.snapshot("a").state == "open"


def test_where_all_have_something_to_remember_the_oldest_is_forgotten(clock: VirtualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, key=lambda number: number, most_keys=3)

    def fail_always(number: int) -> None:
        raise ConnectionError

    for number in range(5):
        with pytest.raises(ConnectionError):
            breaker.call(fail_always, number)
    assert [breaker.snapshot(number).state for number in (2, 3, 4)] == ["open"] * 3
    assert len(breaker._by_key.current()) == 3


def test_the_common_stack_knows_keys(way: Way) -> None:
    breaker = CircuitBreaker(1, key=lambda: "a")
    pipeline = ResiliencePipeline(
        Retry(on=ConnectionError, attempts=1), breaker, Timeout(1, on_thread=not way.is_async)
    )
    for expected in (ConnectionError, CircuitOpen):
        with pytest.raises(expected):
            way.call(pipeline, Script(ConnectionError()))
    assert breaker.snapshot("a").state == "open"


def test_a_key_that_cannot_be_one_is_told(clock: VirtualClock) -> None:
    with pytest.raises(TypeError, match=r"bank: the key \['a'\] cannot be hashed; use a text, number or tuple"):
        keyed().call(ask, ["a"])  # type: ignore[arg-type]


def test_a_block_has_no_key(clock: VirtualClock) -> None:
    with pytest.raises(TypeError, match="bank: a block has no arguments for key=; decorate a function"):
        keyed().__enter__()


@pytest.mark.parametrize("parameters", [{"key": 3}, {"most_keys": 0}, {"most_keys": 1.5}])
def test_what_cannot_be_meant_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(parameters))}="):
        CircuitBreaker(**parameters)
