"""A handler that is slow, or never ends, holds up nobody but its key, and that not for ever."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from insula import Command, Event, Module, System, UnitOfWork
from insula.runtime.configuration import Configuration, Delivery
from insula.testing import Scenario


class Said(Event, key="word"):
    """A word was said."""

    word: str


class Say(Command[None]):
    """Say words."""

    words: tuple[str, ...]


def hearing_with(hear: Callable[..., Any]) -> tuple[System, Module]:
    """Two modules; `hear` hears in one what the other says."""
    saying, hearing = Module("saying"), Module("hearing")

    @saying.handle(Say)
    async def say(command: Say, work: UnitOfWork) -> None:
        for word in command.words:
            work.publish(Said(word=word))

    hearing.on(Said)(hear)
    return System("two", saying, hearing), hearing


def limited(seconds: float) -> Configuration:
    """A limit that a test can wait for."""
    return Configuration(delivery=Delivery(handler_timeout_seconds=seconds))


async def test_a_handler_that_never_ends_is_stopped_and_its_message_is_parked() -> None:
    async def hear(event: Said) -> None:
        await asyncio.Event().wait()

    system, hearing = hearing_with(hear)
    async with asyncio.timeout(10), Scenario(system, configuration=limited(0.01)) as scenario:
        await scenario.deliver(Said(word="hum"))
        [parked] = await scenario.parked(hearing)
        assert (parked.key, parked.attempts) == ("hum", 1)
        assert parked.error.startswith("HandlerTimedOut: hearing.hear (test_slow_handlers.py:")
        assert "took longer than 0.01 s (handler_timeout_seconds in [delivery]) and was stopped" in parked.error


async def test_a_handler_that_catches_its_cancellation_is_stopped_all_the_same() -> None:
    stops: list[int] = []

    async def hear(event: Said) -> None:
        while len(stops) < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stops.append(1)
        raise asyncio.CancelledError

    system, hearing = hearing_with(hear)
    async with asyncio.timeout(10), Scenario(system, configuration=limited(0.01)) as scenario:
        await scenario.deliver(Said(word="hum"))
        [parked] = await scenario.parked(hearing)
        assert parked.error.startswith("HandlerTimedOut")


async def test_a_def_handler_over_its_time_is_told_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    proceed, told = threading.Event(), asyncio.Event()

    def hear(event: Said) -> None:
        proceed.wait(10)

    def tell(record: logging.LogRecord) -> bool:
        told.set()
        return True

    caplog.handler.addFilter(tell)
    system, hearing = hearing_with(hear)
    async with asyncio.timeout(10), Scenario(system, configuration=limited(0.01)) as scenario:
        delivery = asyncio.create_task(scenario.deliver(Said(word="hum")))
        await told.wait()
        proceed.set()
        await delivery
        assert await scenario.parked(hearing) == []
        assert caplog.text.count("hear (test_slow_handlers.py") == 1
