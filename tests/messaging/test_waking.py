"""Timers and retries sleep until something is due, and are woken by what is new; no retry waits for another."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from insula import Command, Event, Module, System, UnitOfWork
from insula.messaging import timers
from insula.messaging.timers import Retrier
from insula.messaging.waiting import Signal
from insula.runtime.configuration import Configuration, Delivery
from insula.testing import Scenario


class Later(Command[None]):
    """Asks for a reminder."""

    seconds: int


class Remind(Command[None]):
    """The reminder."""


class Said(Event, key="word"):
    """A word was said."""

    word: str


class Hearing:
    """A module whose every message fails the first time; those in `hanging` hang the second time."""

    def __init__(self, *hanging: str) -> None:
        self.module = Module("hearing")
        self.begun: Counter[str] = Counter()
        self.heard: list[str] = []
        self.gate = asyncio.Event()
        self._changed = asyncio.Event()

        @self.module.on(Said)
        async def hear(event: Said) -> None:
            self.begun[event.word] += 1
            self._changed.set()
            if self.begun[event.word] == 1:
                raise OSError("not yet")
            if event.word in hanging:
                await self.gate.wait()
            self.heard.append(event.word)
            self._changed.set()

    async def until(self, word: str, times: int) -> None:
        """Until the handler has begun so often."""
        while self.begun[word] < times:
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that runs until cancelled; ten seconds for all of it."""
    async with asyncio.timeout(10):
        task = asyncio.create_task(work)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each sleep was meant to be; each one lasts until its sleeper is woken."""
    meant: list[float] = []

    class Sleep(Signal):
        """Notes for how long."""

        async def wait(self, seconds: float | None = None) -> bool:
            meant.append(seconds or 0)
            return await super().wait(10)

    monkeypatch.setattr(timers, "Signal", Sleep)
    return meant


QUICKLY = Configuration(delivery=Delivery(first_delay_seconds=0.001))


async def test_timers_sleep_until_one_is_due_and_wake_when_an_earlier_one_is_saved(sleeps: list[float]) -> None:
    minding = Module("minding")

    @minding.handle(Later)
    async def later(command: Later, work: UnitOfWork) -> None:
        work.send(Remind(), delay=timedelta(seconds=command.seconds))

    @minding.handle(Remind)
    async def remind(command: Remind) -> None: ...

    async with Scenario(System("one", minding)) as scenario:
        entered = asyncio.Event()
        scenario.wired.databases["minding"].on_append(lambda types: entered.set() if "Remind" in types else None)
        async with running(scenario.wired.timers[0].run()):
            for seconds in (3600, 20, 5, 0):
                await scenario.call(Later(seconds=seconds))
            await entered.wait()
        assert sleeps == sorted(sleeps, reverse=True)
        assert set(sleeps) <= {30.0, 20.0, 5.0}


async def test_a_retry_that_hangs_stops_no_other_and_nobody_looks_again_while_it_does(sleeps: list[float]) -> None:
    hearing = Hearing("hangs")
    async with Scenario(System("one", hearing.module), configuration=QUICKLY) as scenario:
        receiver = scenario.wired.receivers["hearing"]
        await scenario.deliver(Said(word="hangs"))
        scenario.clock.advance(1)
        async with running(Retrier(receiver, scenario.clock).run()):
            await hearing.until("hangs", 2)
            await scenario.deliver(Said(word="sings"))
            scenario.clock.advance(1)
            receiver.tell_of_parked()  # for the virtual clock wakes nobody
            await hearing.until("sings", 2)
            assert hearing.begun == {"hangs": 2, "sings": 2}
            hearing.gate.set()
            await asyncio.gather(
                *(receiver.retry((each.consumer, each.source, each.key)) for each in await parked(scenario))
            )
        assert sorted(hearing.heard) == ["hangs", "sings"]
        assert min(sleeps) >= 0.001
        assert sleeps.count(0.001) <= 1


async def parked(scenario: Scenario) -> Any:
    """What is parked now."""
    return await scenario.wired.databases["hearing"].parked_list(dead_only=False, limit=100)


async def test_no_more_retries_run_at_once_than_the_limit_and_the_rest_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "_RETRIES_AT_ONCE", 2)
    words = [f"word {number}" for number in range(9)]
    hearing = Hearing(*words)
    async with Scenario(System("one", hearing.module), configuration=QUICKLY) as scenario:
        receiver = scenario.wired.receivers["hearing"]
        for word in words:
            await scenario.deliver(Said(word=word))
        scenario.clock.advance(1)
        async with running(Retrier(receiver, scenario.clock).run()):
            await hearing.until(words[1], 2)
            for _ in range(5):
                receiver.tell_of_parked()
                await asyncio.sleep(0)
            assert [word for word in words if hearing.begun[word] == 2] == words[:2]
            hearing.gate.set()
            await hearing.until(words[8], 2)
        assert hearing.heard[:2] == words[:2]
