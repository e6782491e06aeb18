"""What cannot arrive, or would arrive broken, is refused where it leaves, naming the handler."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from insula import Ask, Command, Event, Module, Query, System, UnitOfWork
from insula.messaging.dispatcher import AnswerInvalid
from insula.messaging.outgoing import NobodyHandles, OutgoingInvalid
from insula.runtime.application import Application
from insula.testing import Scenario


class Start(Command[int]):
    """Do what the test says."""


class Elsewhere(Command[None]):
    """Handled by no module here."""


class Counted(Event, key="name"):
    """Somebody counted."""

    name: str
    number: int


class HowMany(Query[int]):
    """A question."""


def starting(action: Any) -> Module:
    """A module whose only handler does `action`."""
    module = Module("starting")

    @module.handle(Start)
    async def start(command: Start, work: UnitOfWork, ask: Ask) -> int:
        answer: int = await action(work, ask)
        return answer

    return module


async def sends(work: UnitOfWork, ask: Ask) -> int:
    """Send a command that another module may handle."""
    work.send(Elsewhere())
    return 1


async def test_a_command_that_no_module_handles_is_refused_when_it_is_sent() -> None:
    async with Scenario(System("one", starting(sends))) as scenario:
        with pytest.raises(NobodyHandles, match=r"starting\.start sends Elsewhere"):
            await scenario.call(Start())


async def test_a_module_tested_alone_may_send_commands_to_its_neighbours() -> None:
    async with Scenario(starting(sends)) as scenario:
        assert await scenario.call(Start()) == 1


async def test_a_command_is_not_executed_by_asking() -> None:
    async def asks(work: UnitOfWork, ask: Ask) -> int:
        return await ask(Start())  # type: ignore[arg-type]  # what code without type checks may do

    async with Scenario(starting(asks)) as scenario:
        with pytest.raises(TypeError, match=r"start \(test_refused_at_once\.py:\d+\) asks Start; ask takes a Query"):
            await scenario.call(Start())


async def test_a_delay_that_is_a_number_is_refused_with_what_to_write() -> None:
    async def sends_later(work: UnitOfWork, ask: Ask) -> int:
        work.send(Start(), delay=5)  # type: ignore[arg-type]
        return 1

    async with Scenario(starting(sends_later)) as scenario:
        with pytest.raises(TypeError, match=re.escape("send(Start, delay=5): delay is a timedelta")):
            await scenario.call(Start())


async def test_an_event_that_does_not_fit_its_types_is_never_published(tmp_path: Path) -> None:
    async def publishes(work: UnitOfWork, ask: Ask) -> int:
        work.publish(Counted(name="ann", number="many"))  # type: ignore[arg-type]
        return 1

    async with Application(System("one", starting(publishes)), directory=tmp_path) as application:
        with pytest.raises(OutgoingInvalid, match=r"starting\.start: Counted does not fit its types: number: Expected"):
            await application.bus.call(Start())


async def test_an_answer_of_the_wrong_type_is_an_error_before_the_commit(tmp_path: Path) -> None:
    async def answers(work: UnitOfWork, ask: Ask) -> Any:
        work.publish(Counted(name="ann", number=1))
        return "many"

    async with Application(System("one", starting(answers)), directory=tmp_path) as application:
        with pytest.raises(AnswerInvalid, match=r"start .*'many'"):
            await application.bus.call(Start())
        assert await application.wired.databases["starting"].log_head() == 0


async def test_a_scenario_names_the_handler_whose_answer_is_of_the_wrong_type() -> None:
    module = Module("counting")

    @module.handle(HowMany)
    async def how_many(query: HowMany) -> int:
        return "many"  # type: ignore[return-value]

    async with Scenario(module) as scenario:
        with pytest.raises(AnswerInvalid, match=r"how_many \(test_refused_at_once\.py"):
            await scenario.call(HowMany())


async def test_a_question_to_a_neighbour_without_a_stub_says_how_to_stub_it() -> None:
    async def asks(work: UnitOfWork, ask: Ask) -> int:
        return await ask(HowMany())

    async with Scenario(starting(asks)) as scenario:
        with pytest.raises(NobodyHandles, match=re.escape("scenario.stub(HowMany, answer)")):
            await scenario.call(Start())
