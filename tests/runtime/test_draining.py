"""The stop lets handlers under way end, but not for longer than it was told to."""

from __future__ import annotations

import asyncio
from pathlib import Path

from insula import Command, Event, Module, System, UnitOfWork
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, Delivery, Http


class Say(Command[None]):
    """Say words."""

    words: tuple[str, ...]


class Said(Event, key="word"):
    """A word was said."""

    word: str


class Hearing:
    """A system of two modules; what one says the other hears when `gate` is open."""

    def __init__(self, *, fails_first: bool = False) -> None:
        self.gate = asyncio.Event()
        self.under_way = asyncio.Event()
        self.heard: list[str] = []
        self.stopped: list[str] = []
        saying, hearing = Module("saying"), Module("hearing")
        self.system = System("two", saying, hearing)
        begun: list[str] = []

        @saying.handle(Say)
        async def say(command: Say, work: UnitOfWork) -> None:
            for word in command.words:
                work.publish(Said(word=word))

        @hearing.on(Said)
        async def hear(event: Said, work: UnitOfWork) -> None:
            begun.append(event.word)
            if fails_first and begun.count(event.word) == 1:
                raise OSError("not yet")
            self.under_way.set()
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.stopped.append(event.word)
                raise
            self.heard.append(event.word)

    def application(self, directory: Path, drain_seconds: float) -> Application:
        """One run of the system."""
        delivery = Delivery(first_delay_seconds=0.001)
        return Application(
            self.system, Configuration(http=Http(drain_seconds=drain_seconds), delivery=delivery), directory=directory
        )


async def test_the_stop_cancels_handlers_that_do_not_end_and_their_messages_come_again(tmp_path: Path) -> None:
    hearing = Hearing()
    async with asyncio.timeout(10):
        async with hearing.application(tmp_path, 0.01) as application:
            await application.bus.call(Say(words=("a", "b", "a")))
            await hearing.under_way.wait()
        assert (hearing.heard, sorted(hearing.stopped)) == ([], ["a", "b"])
        hearing.gate.set()
        async with hearing.application(tmp_path, 10) as application:
            for relay in application.wired.relays:
                await relay.step()
            database = application.wired.databases["hearing"]
            assert await database.parked_list(dead_only=False, limit=10) == []
            assert [row[0] for row in await database.read("select count(*) from insula_inbox")] == [3]
        assert set(hearing.heard) == {"a", "b"}


async def test_the_stop_cancels_a_retry_that_does_not_end(tmp_path: Path) -> None:
    hearing = Hearing(fails_first=True)
    async with asyncio.timeout(10):
        async with hearing.application(tmp_path, 0.01) as application:
            await application.bus.call(Say(words=("a",)))
            await hearing.under_way.wait()
        assert hearing.stopped == ["a"]


async def test_a_handler_that_ends_while_the_system_stops_has_done_its_work(tmp_path: Path) -> None:
    hearing = Hearing()
    async with asyncio.timeout(10):
        application = hearing.application(tmp_path, 10)
        await application.__aenter__()
        await application.bus.call(Say(words=("a",)))
        await hearing.under_way.wait()
        stop = asyncio.create_task(application.__aexit__(None, None, None))
        await asyncio.sleep(0)
        hearing.gate.set()
        await stop
        assert (hearing.heard, hearing.stopped) == (["a"], [])
        async with hearing.application(tmp_path, 10) as again:
            assert sum([await relay.step() for relay in again.wired.relays]) == 0
