"""What `insula status` is told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from insula import Command, Event, Module, System, UnitOfWork
from insula.adapters.postgres.address import Address
from insula.adapters.sqlite.queries import Queries
from insula.cli.inspecting import show_open_transactions, show_strained_databases
from insula.runtime.admin import status_of
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, Store
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
                system=scenario.system,
                ready=True,
                wired=scenario.wired,
                moves_messages=True,
                movement=SimpleNamespace(shares=()),
            )
            status = await status_of(running)
    modules = {each.module: each for each in status.modules}
    assert (modules["saying"].log, modules["hearing"].parked, modules["hearing"].dead) == (303, 2, 1)
    waiting = {(each.source, each.subscriber): each.waiting for each in status.relays}
    assert waiting["saying", "hearing"] == 300


async def test_a_transaction_that_somebody_left_open_is_told_with_its_age_and_whose_it_is(
    postgres_address: Address,
) -> None:
    configuration = Configuration(store=Store(address=postgres_address.url.replace("/notes", "/{module}", 1)))
    async with asyncio.timeout(20), Application(System("one", Module("notes")), configuration) as running:
        other = await asyncpg.connect(postgres_address.url, server_settings={"application_name": "a forgotten tool"})
        await other.execute("begin")
        (module,) = (await status_of(running)).modules
        assert module.oldest_transaction.endswith("(a forgotten tool, idle in transaction)")
        assert module.oldest_transaction_seconds > 0
        await other.close()


def test_open_transactions_are_shown_once_they_are_old(capsys: pytest.CaptureFixture[str]) -> None:
    young = {"module": "one", "unnumbered": 0, "oldest_transaction": "process 6 (x)", "oldest_transaction_seconds": 2.0}
    old = {"module": "two", "unnumbered": 0, "oldest_transaction": "process 7 (y)", "oldest_transaction_seconds": 61.4}
    show_open_transactions([young])
    assert capsys.readouterr().out == ""
    show_open_transactions([young, old])
    shown = capsys.readouterr().out
    assert "process 7 (y)" in shown
    assert "61" in shown
    assert "process 6" not in shown


def test_a_database_is_shown_once_somebody_waited_for_it_in_vain(capsys: pytest.CaptureFixture[str]) -> None:
    calm = dict.fromkeys(("busy", "limit", "waits", "longest_wait_seconds", "refused", "failed"), 0)
    show_strained_databases([{"module": "one", "database": None}, {"module": "two", "database": calm}])
    assert capsys.readouterr().out == ""
    show_strained_databases([{"module": "three", "database": {**calm, "refused": 17, "circuit": "open"}}])
    shown = capsys.readouterr().out
    assert "three" in shown
    assert "17" in shown
