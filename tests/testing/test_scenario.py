"""Scenarios: what they take, and how time passes in them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from insula import Clock, Command, Module, System, UnitOfWork
from insula.kernel.errors import ConfigurationError
from insula.testing import Scenario


class Wait(Command[None]):
    """Be woken later."""

    days: int


class Wake(Command[None]):
    """Be woken."""

    days: int


class Unbound:
    """A port that no module binds."""


def waking(moments: list[datetime]) -> Module:
    """Notes the moments of a daily schedule and of what was sent for later."""
    module = Module("waking")

    @module.every("0 3 * * *")
    async def each_night(clock: Clock) -> None:
        moments.append(clock.now())

    @module.handle(Wait)
    async def wait(command: Wait, work: UnitOfWork) -> None:
        work.send(Wake(days=command.days), delay=timedelta(days=command.days))

    @module.handle(Wake)
    async def wake(command: Wake, clock: Clock) -> None:
        moments.append(clock.now())

    return module


async def test_a_daily_schedule_runs_each_day_that_passes_at_its_own_time() -> None:
    moments: list[datetime] = []
    async with Scenario(waking(moments)) as scenario:
        start = scenario.clock.now()
        await scenario.advance(timedelta(days=14))
        assert moments == [start + timedelta(days=day, hours=3) for day in range(14)]
        assert scenario.clock.now() == start + timedelta(days=14)


async def test_delayed_commands_run_between_the_schedules_in_the_order_of_time() -> None:
    moments: list[datetime] = []
    async with Scenario(System("one", waking(moments))) as scenario:
        start = scenario.clock.now()
        await scenario.call(Wait(days=1))
        await scenario.advance(timedelta(days=2))
        hours = [(moment - start) / timedelta(hours=1) for moment in moments]
        assert hours == [3, 24, 27]


def test_a_scenario_of_a_name_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="a System or a Module, not 'shop'"):
        Scenario("shop")  # type: ignore[arg-type]


async def test_a_fake_for_a_port_that_nobody_binds_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no module binds Unbound"):
        async with Scenario(waking([]), ports={Unbound: Unbound()}):
            pass


async def test_a_handler_that_waits_lets_time_pass_and_those_that_wait_less_come_first() -> None:
    waiting, woken = Module("waiting"), list[int]()

    @waiting.handle(Wait)
    async def wait(command: Wait, clock: Clock) -> None:
        await clock.sleep(timedelta(days=command.days).total_seconds())
        woken.append(command.days)

    async with Scenario(waiting) as scenario:
        start = scenario.clock.now()
        await asyncio.gather(*(scenario.call(Wait(days=days)) for days in (3, 1, 2)))
        assert woken == [1, 2, 3]
        assert scenario.clock.now() == start + timedelta(days=3)
