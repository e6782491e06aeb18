"""Delayed commands that come due together."""

from __future__ import annotations

from datetime import timedelta

from insula import Command, Module, System, UnitOfWork
from insula.testing import Scenario

STEPS = 6


class Go(Command[None]):
    """Send every step."""


class Step(Command[None], key="walk"):
    """One step of a walk."""

    walk: str
    number: int


async def test_delayed_commands_of_one_key_that_come_due_together_keep_their_order() -> None:
    module, taken = Module("walks"), list[int]()

    @module.handle(Go)
    async def go(command: Go, work: UnitOfWork) -> None:
        for number in range(STEPS):
            work.send(Step(walk="home", number=number), delay=timedelta(seconds=5))

    @module.handle(Step)
    async def take(command: Step, work: UnitOfWork) -> None:
        taken.append(command.number)

    async with Scenario(System("walking", module)) as scenario:
        await scenario.call(Go())
        await scenario.advance(timedelta(seconds=5))
    assert taken == list(range(STEPS))
