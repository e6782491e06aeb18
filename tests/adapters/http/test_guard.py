"""What stands around an exchange with a neighbour, in virtual time and with a network that is played."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from insula.adapters.http.guard import NoAnswer, Unreachable, guarded
from insula.kernel import Deadline, Failure, Unavailable, ambient_deadline
from insula.resilience import BulkheadFull, CircuitOpen, attempts_of
from insula.testing import VirtualClock, virtual_time

FAR, NEAR = "http://10.0.0.7:8000", "http://10.0.0.8:8000"


@dataclass(frozen=True)
class Question:
    url: str = f"{FAR}/_insula/call/far.Tell"
    headers: Mapping[str, str] = field(default_factory=lambda: {"insula-message-id": "1"})
    timeout_seconds: float = 30.0


@dataclass
class Network:
    """Plays exchanges: an error is raised, a number of seconds passes, anything else is the answer."""

    clock: VirtualClock
    outcomes: dict[str, Any]
    sent: list[Question] = field(default_factory=list)

    async def exchange(self, question: Question) -> str:
        self.sent.append(question)
        outcome = self.outcomes[question.url[: len(FAR)]]
        if isinstance(outcome, list):
            outcome = outcome.pop(0)
        if isinstance(outcome, type):
            raise outcome(f"{question.url}: no")
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, float):
            await self.clock.sleep(outcome)
        return f"{outcome}"


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with virtual_time() as clock:
        yield clock


async def asked(clock: VirtualClock, network: Network, times: int, **options: Any) -> list[type[Exception] | str]:
    """What so many questions, one after the other, come to."""
    send = guarded(network.exchange, clock, **options)
    return [await outcome(clock, send) for _ in range(times)]


async def outcome(clock: VirtualClock, send: Any, question: Question | None = None) -> type[Exception] | str:
    try:
        return str(await clock.run(send(question or Question())))
    except Exception as error:
        return type(error)


async def test_an_answer_comes_through(clock: VirtualClock) -> None:
    network = Network(clock, {FAR: "yes"})
    assert await asked(clock, network, 2) == ["yes", "yes"]
    assert network.sent == [Question(), Question()]


async def test_a_neighbour_that_cannot_be_reached_is_asked_again_with_what_is_left_of_the_time(
    clock: VirtualClock,
) -> None:
    network = Network(clock, {FAR: [Unreachable, Unreachable, "yes"]})
    assert await asked(clock, network, 1) == ["yes"]
    assert 0 < clock.monotonic() < 0.15
    last = network.sent[2]
    assert last.timeout_seconds == 30.0 - clock.monotonic()
    assert float(last.headers["insula-remaining-seconds"]) == pytest.approx(last.timeout_seconds)
    assert last.headers["insula-message-id"] == "1"


async def test_it_is_given_up_after_three_attempts(clock: VirtualClock) -> None:
    with pytest.raises(Unreachable) as raised:
        await clock.run(guarded(Network(clock, {FAR: Unreachable}).exchange, clock)(Question()))
    assert len(attempts_of(raised.value)) == 3


async def test_no_attempt_begins_that_the_callers_deadline_does_not_allow(clock: VirtualClock) -> None:
    network = Network(clock, {FAR: Unreachable})
    token = ambient_deadline.set(Deadline.after(1e-9, clock).at)
    assert await asked(clock, network, 1) == [Unreachable]
    ambient_deadline.reset(token)
    assert (len(network.sent), clock.monotonic()) == (1, 0.0)


async def test_the_circuit_of_one_that_is_down_opens_and_calls_fail_at_once_with_the_time_to_wait(
    clock: VirtualClock,
) -> None:
    network = Network(clock, {FAR: Unreachable, NEAR: "yes"})
    send = guarded(network.exchange, clock)
    assert [await outcome(clock, send) for _ in range(3)] == [Unreachable, CircuitOpen, CircuitOpen]
    assert len(network.sent) == 5
    began = clock.monotonic()
    with pytest.raises(
        Unavailable, match=rf"calls to {FAR}: the circuit is open, .*; try again in \d(\.\d+)? s"
    ) as told:
        await clock.run(send(Question()))
    assert told.value.retry_after == pytest.approx(5.0, abs=0.2)
    assert (len(network.sent), clock.monotonic()) == (5, began)
    assert await outcome(clock, send, Question(f"{NEAR}/_insula/call/near.Tell")) == "yes"


async def test_it_closes_again_when_the_neighbour_is_back(clock: VirtualClock) -> None:
    network = Network(clock, {FAR: Unreachable})
    send = guarded(network.exchange, clock)
    await outcome(clock, send)
    await outcome(clock, send)
    network.outcomes[FAR] = "yes"
    assert await outcome(clock, send) is CircuitOpen
    clock.advance(5)
    assert [await outcome(clock, send) for _ in range(2)] == ["yes", "yes"]


async def test_one_that_does_not_answer_opens_it_too_and_is_not_asked_again(clock: VirtualClock) -> None:
    network = Network(clock, {FAR: NoAnswer})
    assert await asked(clock, network, 6) == [*[NoAnswer] * 5, CircuitOpen]
    assert len(network.sent) == 5


@pytest.mark.parametrize("told", ["rejected", Unavailable, Failure])
async def test_what_was_answered_is_neither_sent_again_nor_counted(clock: VirtualClock, told: Any) -> None:
    network = Network(clock, {FAR: told})
    assert await asked(clock, network, 20) == [told] * 20
    assert len(network.sent) == 20


async def test_a_slow_neighbour_holds_so_many_calls_and_no_more(clock: VirtualClock) -> None:
    network = Network(clock, {FAR: 3.0, NEAR: "yes"})
    send = guarded(network.exchange, clock, places=2, waiting=1)

    async def together() -> list[Any]:
        questions = [Question() for _ in range(4)] + [Question(f"{NEAR}/")]
        return await asyncio.gather(*(send(each) for each in questions), return_exceptions=True)

    *far, near = await clock.run(together())
    assert (far[:3], near) == (["3.0"] * 3, "yes")
    assert isinstance(far[3], BulkheadFull)
    assert f"calls to {FAR}: all 2 places are taken, and 1 calls wait; try again later" in str(far[3])
    assert clock.monotonic() == 6.0


async def test_a_full_bulkhead_says_nothing_about_the_neighbour(clock: VirtualClock) -> None:
    network = Network(clock, {FAR: 3.0})
    send = guarded(network.exchange, clock, places=1, waiting=0)

    async def together() -> list[Any]:
        return await asyncio.gather(*(send(Question()) for _ in range(20)), return_exceptions=True)

    answers = await clock.run(together())
    assert [type(each) for each in answers] == [str, *[BulkheadFull] * 19]
    assert await outcome(clock, send) == "3.0"
