"""What `insula status` is told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from insula import Command, Event, Module, System, UnitOfWork
from insula.adapters.sqlite.queries import Queries
from insula.runtime.admin import status_of
from insula.testing import Scenario


class Say(Command[None]):
    """Say numbers up to a count."""

    count: int


class Said(Event, key="number"):
    """A number was said."""

    number: int


class Whispered(Event):
    """Nobody listens to it."""


async def test_the_status_counts_what_waits_and_what_is_parked_without_reading_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saying, hearing = Module("saying"), Module("hearing")

    @saying.handle(Say)
    async def say(command: Say, work: UnitOfWork) -> None:
        work.publish(Whispered())
        for number in range(command.count):
            work.publish(Said(number=number))

    @hearing.on(Said, attempts=1)
    async def hear(event: Said) -> None:
        raise OSError("down")

    async with asyncio.timeout(10), Scenario(System("two", saying, hearing)) as scenario:
        await scenario.call(Say(count=1))
        await scenario.settle()
        await scenario.deliver(Said(number=0), source="saying")  # another, which waits behind the dead letter
        await scenario.call(Say(count=300))
        with monkeypatch.context() as patched:
            for name in ("log_after", "parked_list"):
                patched.delattr(Queries, name)
            running: Any = SimpleNamespace(
                system=scenario.system, ready=True, wired=scenario.wired, moves_messages=True
            )
            status = await status_of(running)
    modules = {each.module: each for each in status.modules}
    assert (modules["saying"].log, modules["hearing"].parked, modules["hearing"].dead) == (303, 2, 1)
    waiting = {(each.source, each.subscriber): each.waiting for each in status.relays}
    assert waiting["saying", "hearing"] == 300
