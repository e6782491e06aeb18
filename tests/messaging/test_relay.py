"""From one log to one subscriber: a window of many, a position behind it, and no overtaking."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from insula.messages import Envelope
from insula.messaging import relay as relays
from insula.messaging.relay import Relay
from insula.testing import VirtualClock

CLOCK = VirtualClock()


class GrowingLog:
    """A log in memory; `broken` makes reading it fail."""

    name = "source"

    def __init__(self) -> None:
        self._envelopes: list[Envelope] = []
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self.broken = False

    def append(self, *keys: str) -> None:
        """One message for each key."""
        for key in keys:
            position = len(self._envelopes) + 1
            self._envelopes.append(
                Envelope(
                    id=str(position), source="source", type="Said", kind="event", version=1, subject=key,
                    time=CLOCK.now(), data=b"{}", correlation_id="1", causation_id=None, traceparent=None,
                    caller="anonymous", position=position,
                )
            )  # fmt: skip
        for listener in self._listeners:
            listener(frozenset(("Said",)))

    def on_append(self, listener: Callable[[frozenset[str]], None]) -> None:
        self._listeners.append(listener)

    async def log_head(self) -> int:
        if self.broken:
            raise OSError("the log cannot be read")
        return len(self._envelopes)

    async def log_after(self, position: int, types: Any, limit: int) -> list[Envelope]:
        return self._envelopes[position : position + limit]


class Subscriber:
    """Takes messages at once, but those with a key in `gates` only when that is opened, and none in `failing`."""

    types = frozenset(("Said",))
    module = "reading"

    def __init__(self) -> None:
        self.database = self
        self.gates: dict[str, asyncio.Event] = {}
        self.failing: set[str] = set()
        self.begun: Counter[str] = Counter()
        self.taken: list[int] = []
        self.failed = 0
        self.error: BaseException = OSError("the disk is full")
        self._changed = asyncio.Event()

    async def perform(self, body: Any, scope: Any) -> None:
        """The cursor is saved."""

    async def deliver(self, envelope: Envelope) -> None:
        key = envelope.subject or ""
        self.begun[key] += 1
        self._changed.set()
        if key in self.gates:
            await self.gates[key].wait()
        if key in self.failing:
            self.failed += 1
            self._changed.set()
            raise self.error
        self.taken.append(envelope.position)
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that deliveries bring about."""
        while not holds():
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def running(*slow: str) -> AsyncIterator[tuple[GrowingLog, Subscriber, Relay, VirtualClock]]:
    """A relay that runs, to a subscriber with slow keys; ten seconds for all of it."""
    log: Any = GrowingLog()
    subscriber: Any = Subscriber()
    clock = VirtualClock()
    subscriber.gates = {key: asyncio.Event() for key in slow}
    relay = Relay(log, subscriber, clock)
    async with asyncio.timeout(10):
        run = asyncio.create_task(relay.run())
        try:
            yield log, subscriber, relay, clock
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run
            await relay.land(0)


async def turns(count: int = 5) -> None:
    """Let other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_slow_key_holds_up_no_other_and_the_position_stays_before_it() -> None:
    async with running("slow") as (log, subscriber, relay, _):
        log.append("a", "slow", "b")
        await subscriber.until(lambda: 3 in subscriber.taken)
        for number in range(relays.WINDOW * 2):  # much more than fits the window, one after the other
            log.append(f"key {number}")
            await subscriber.until(lambda: len(subscriber.taken) == number + 3)  # noqa: B023 - awaited at once
        assert relay.position == 1
        subscriber.gates["slow"].set()
        await subscriber.until(lambda: 2 in subscriber.taken)
        await turns()
        assert relay.position == relays.WINDOW * 2 + 3


async def test_at_most_a_window_of_messages_is_under_way() -> None:
    async with running("slow") as (log, subscriber, _, _):
        log.append(*["slow"] * relays.WINDOW, "other")
        await subscriber.until(lambda: subscriber.begun["slow"] == relays.WINDOW)
        await turns()
        assert subscriber.begun["other"] == 0
        subscriber.gates["slow"].set()
        await subscriber.until(lambda: len(subscriber.taken) == relays.WINDOW + 1)


async def test_what_could_not_be_taken_comes_again_with_all_after_it_once_what_is_on_its_way_has_landed() -> None:
    async with running("slow") as (log, subscriber, relay, clock):
        subscriber.failing.add("bad")
        log.append("good", "bad", "slow")
        await subscriber.until(lambda: subscriber.failed == 1)
        log.append("bad", "late")
        await turns()
        clock.advance(60)
        await turns()
        assert (subscriber.begun["bad"], subscriber.begun["late"]) == (1, 0)  # the slow one has not landed yet
        subscriber.failing.clear()
        subscriber.gates["slow"].set()
        await subscriber.until(lambda: 3 in subscriber.taken)
        await turns()
        assert relay.position == 1
        clock.advance(60)
        await subscriber.until(lambda: 5 in subscriber.taken)
        assert subscriber.taken == [1, 3, 2, 3, 4, 5]


async def test_the_delay_grows_as_long_as_a_message_cannot_be_taken() -> None:
    async with running() as (log, subscriber, _, clock):
        subscriber.failing.add("bad")
        log.append("bad")
        await subscriber.until(lambda: subscriber.failed == 1)
        for failures, seconds in enumerate((0.05, 0.1, 0.2), start=1):
            await turns()
            clock.advance(seconds * 0.9)
            await turns()
            assert subscriber.failed == failures
            clock.advance(seconds * 0.2)
            await subscriber.until(lambda: subscriber.failed == failures + 1)  # noqa: B023 - awaited at once


async def test_a_log_that_cannot_be_read_for_a_while_stops_nothing_that_is_on_its_way() -> None:
    async with running("slow") as (log, subscriber, _, clock):
        log.append("slow")
        await subscriber.until(lambda: subscriber.begun["slow"] == 1)
        log.broken = True
        log.append("other")
        await turns()
        log.broken = False
        clock.advance(1)
        await subscriber.until(lambda: subscriber.taken == [2])
        assert subscriber.begun["slow"] == 1


async def test_a_cancelled_delivery_comes_again_and_the_relay_runs_on() -> None:
    async with running() as (log, subscriber, _, clock):
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.cancel()
        subscriber.gates["bad"] = asyncio.Event()
        subscriber.gates["bad"].wait = lambda: gone  # type: ignore[method-assign,assignment,return-value]
        log.append("bad")
        await subscriber.until(lambda: subscriber.begun["bad"] == 1)
        await turns()
        del subscriber.gates["bad"]
        clock.advance(1)
        await subscriber.until(lambda: subscriber.taken == [1])


class Abrupt(BaseException):
    """No Exception, as what pytest.fail raises."""


async def test_a_step_raises_whatever_ended_a_delivery() -> None:
    async with asyncio.timeout(10):
        log, subscriber = GrowingLog(), Subscriber()
        subscriber.error = Abrupt()
        subscriber.failing.add("bad")
        log.append("good", "bad", "good")
        relay = Relay(log, subscriber, VirtualClock())  # type: ignore[arg-type]  # fakes
        with pytest.raises(Abrupt):
            await relay.step()
        assert (relay.position, subscriber.taken) == (1, [1, 3])


async def test_a_step_that_is_cancelled_leaves_nothing_behind() -> None:
    async with asyncio.timeout(10):
        log, subscriber = GrowingLog(), Subscriber()
        subscriber.gates["slow"] = asyncio.Event()
        log.append("slow", "other")
        before = asyncio.all_tasks()
        step = asyncio.create_task(Relay(log, subscriber, VirtualClock()).step())  # type: ignore[arg-type]  # fakes
        await subscriber.until(lambda: subscriber.taken == [2])
        step.cancel()
        await asyncio.wait([step])
        assert step.cancelled()
        assert asyncio.all_tasks() == before
