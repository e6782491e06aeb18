"""Handlers that cancel, never succeed, come late or are gone: the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from insula import Command, Event, Module, Rejection, System, UnitOfWork
from insula.kernel.errors import Failure
from insula.kernel.ids import INSULA_NAMESPACE, derive
from insula.messages import Envelope, FrozenMap
from insula.messaging.dispatcher import AnswerInvalid
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration, Store
from insula.store.database import ParkedState, Scope, Unit
from insula.store.errors import MessageIdReused
from insula.testing import Scenario

ID = "01900000-0000-7000-8000-000000000001"


class Said(Event, key="number"):
    """A number was said."""

    number: int


async def test_a_handler_whose_await_was_cancelled_has_failed_and_is_tried_again() -> None:
    hearing, heard, first = Module("hearing"), list[int](), True

    @hearing.on(Said)
    async def hear(event: Said, work: UnitOfWork) -> None:
        nonlocal first
        if first:
            first = False
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            gone.cancel()
            await gone
        heard.append(event.number)

    async with Scenario(System("one", hearing)) as scenario:
        await scenario.deliver(Said(number=1))
        assert (await scenario.parked(hearing))[0].error.startswith("HandlerCancelled")
        await scenario.advance(timedelta(minutes=1))
        assert heard == [1]


async def test_a_handler_that_cancels_its_own_task_is_parked_and_the_others_go_on() -> None:
    heard: list[int] = []

    async def hear(number: int) -> None:
        task = asyncio.current_task()
        if number == 1 and task is not None:
            task.cancel()
            await asyncio.sleep(0)
        heard.append(number)

    async with asyncio.timeout(10), Scenario(speaking(heard, hear)) as scenario:
        for number in (1, 2):
            await scenario.call(Say(number=number))
        await scenario.settle()
        [parked] = await scenario.wired.databases["hearing"].parked_list(dead_only=False, limit=10)
        assert (heard, parked.key) == ([2], "1")
        assert parked.error.startswith("HandlerCancelled")


async def test_a_schedule_goes_on_after_a_tick_that_became_a_dead_letter() -> None:
    working, ran, broken = Module("working"), list[int](), True

    @working.every("*/5 * * * *")
    async def work_a_bit(work: UnitOfWork) -> None:
        if broken:
            raise OSError("a neighbour is down")
        ran.append(1)

    async with Scenario(System("one", working)) as scenario:
        await scenario.advance(timedelta(minutes=9))  # the first tick has used up its attempts
        broken = False
        for _ in range(3):
            await scenario.advance(timedelta(minutes=5))
        assert len(ran) == 3
        assert {each.state for each in await scenario.parked(working)} == {ParkedState.DEAD}


class Remind(Command[None], expires=timedelta(minutes=1)):
    """Worth nothing a minute after it is due."""


class Begin(Command[None]):
    """Send a reminder for later."""


async def test_a_delayed_command_expires_after_its_delay_not_during_it() -> None:
    minding, reminded = Module("minding"), list[int]()

    @minding.handle(Begin)
    async def begin(command: Begin, work: UnitOfWork) -> None:
        work.send(Remind(), delay=timedelta(hours=1))

    @minding.handle(Remind)
    async def remind(command: Remind) -> None:
        reminded.append(1)

    async with Scenario(System("one", minding)) as scenario:
        await scenario.call(Begin())
        await scenario.advance(timedelta(hours=1, seconds=1))
        assert reminded == [1]


async def test_what_is_parked_for_a_removed_consumer_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    reading, heard = Module("reading"), list[int]()

    @reading.on(Said)
    async def keep(event: Said) -> None:
        heard.append(event.number)
        if heard == [1000]:
            raise OSError("once")

    async with Scenario(System("one", reading)) as scenario:
        now = scenario.clock.now()

        async def left_over(unit: Unit) -> None:
            for number in range(150):  # more than are looked at in one go
                await unit.park("reading.gone", envelope(number, now), attempts=1, due=now, error="down")

        await scenario.wired.databases["reading"].perform(left_over, Scope("left over"))
        await scenario.restart()
        assert "reading.gone, which is gone" in caplog.text
        await scenario.deliver(Said(number=1000))
        await scenario.advance(timedelta(minutes=1))
        assert heard == [1000, 1000]


def envelope(number: int, time: datetime) -> Envelope:
    """What an older version of the system parked."""
    message_id = derive(INSULA_NAMESPACE, str(number))
    return Envelope(
        id=message_id, source="saying", type="saying.said", kind="event", version=1, subject=str(number), time=time,
        data=b"{}", correlation_id=message_id, causation_id=None, traceparent=None, caller="anonymous",
    )  # fmt: skip


class Tell(Command[int]):
    """Carries a map and a set, which have no order."""

    words: FrozenMap[str, int]
    tags: frozenset[str]


async def test_the_same_command_in_another_order_of_keys_is_the_same_command() -> None:
    telling, message_id = Module("telling"), "01900000-0000-7000-8000-000000000001"

    @telling.handle(Tell)
    async def tell(command: Tell, work: UnitOfWork) -> int:
        return len(command.words)

    async with Scenario(System("one", telling)) as scenario:
        one = Tell(words=FrozenMap({"a": 1, "b": 2}), tags=frozenset("xyz"))
        other = Tell(words=FrozenMap({"b": 2, "a": 1}), tags=frozenset("zyx"))
        answers = [await scenario.call(each, message_id=message_id) for each in (one, other)]
        assert answers == [2, 2]


async def test_a_command_repeated_after_its_class_got_a_field_with_a_default_is_the_same_command() -> None:
    def asking(command_class: type[Command[None]]) -> System:
        module = Module("asking")

        async def take(command: Command[None], work: UnitOfWork) -> None: ...

        take.__annotations__["command"] = command_class
        module.handle(command_class)(take)
        return System("one", module)

    async with Scenario(asking(Order)) as scenario:
        await scenario.call(Order(sku="a"), message_id=ID)
        scenario.system = asking(OrderNow)
        await scenario.restart()
        await scenario.call(OrderNow(sku="a"), message_id=ID)
        with pytest.raises(MessageIdReused):
            await scenario.call(OrderNow(sku="a", gift=True), message_id=ID)


class Order(Command[None]):
    """As it was."""

    sku: str


class OrderNow(Command[None], name="Order"):
    """As it is now."""

    gift: bool = False
    sku: str


class Count(Command[int]):
    """Answered with an integer."""


async def test_an_answer_of_the_wrong_type_fails_before_it_is_kept() -> None:
    counting = Module("counting")

    @counting.handle(Count)
    async def count(command: Count, work: UnitOfWork) -> int:
        return "seven"  # type: ignore[return-value]  # what a handler without type checks may do

    async with Scenario(System("one", counting)) as scenario:
        with pytest.raises(AnswerInvalid, match=r"count .*seven"):
            await scenario.call(Count(), message_id="01900000-0000-7000-8000-000000000002")
    assert issubclass(AnswerInvalid, Failure)
    assert not issubclass(AnswerInvalid, Rejection)


def speaking(heard: list[int], hears: Callable[[int], Awaitable[None]] | None = None) -> System:
    """Two modules, one of which hears what the other says."""
    saying, hearing = Module("saying"), Module("hearing")

    @saying.handle(Say)
    async def say(command: Say, work: UnitOfWork) -> None:
        work.publish(Said(number=command.number))

    @hearing.on(Said)
    async def hear(event: Said) -> None:
        if hears is not None:
            await hears(event.number)
        else:
            heard.append(event.number)

    return System("two", saying, hearing)


class Say(Command[None]):
    """Say a number."""

    number: int


def delete(folder: Path, pattern: str) -> None:
    """Delete a database with its side files."""
    for file in folder.glob(pattern):
        file.unlink()


async def test_a_log_that_was_deleted_is_noticed_and_its_new_messages_are_delivered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    async def run(*numbers: int) -> None:
        async with Application(speaking(heard), directory=tmp_path) as application:
            for number in numbers:
                await application.bus.call(Say(number=number))
            for relay in application.wired.relays:
                await relay.step()

    await run(*range(5))
    delete(tmp_path, "saying.db*")
    await run(10, 11)
    assert "restored from a backup or deleted" in caplog.text
    assert set(heard) == {0, 1, 2, 3, 4, 10, 11}


async def test_messages_pruned_while_a_subscriber_was_away_are_counted_in_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []
    both = speaking(heard)
    alone = System("two", both.modules[0])
    kept_for_a_moment = Configuration(store=Store(log_kept_days=1e-9))

    async def run(system: System, *numbers: int) -> None:
        async with Application(system, kept_for_a_moment, directory=tmp_path) as application:
            for number in numbers:
                await application.bus.call(Say(number=number))
            for relay in application.wired.relays:
                await relay.step()
            if system is alone:
                database, now = application.wired.databases["saying"], application.clock.now() + timedelta(days=1)
                await database.prune(marks={}, answers_before=now, log_below=5, log_before=now, limit=100)

    await run(both, 1, 2)
    await run(alone, 3, 4, 5)
    await run(both)
    assert "hearing has read the log of saying to 2 only, and the 2 messages after that were pruned" in caplog.text
    assert set(heard) == {1, 2, 5}
    caplog.clear()
    await run(both)
    assert caplog.text == ""


async def test_pruning_goes_on_until_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insula.runtime.work._ROWS_AT_ONCE", 2)
    heard: list[int] = []
    async with Application(speaking(heard), directory=tmp_path) as application:
        for number in range(11):
            await application.bus.call(Say(number=number))
        for relay in application.wired.relays:
            await relay.step()
            await relay.save()
        await application.maintain()
        (marks,) = await application.wired.databases["hearing"].read("select count(*) from insula_inbox")
        assert (set(heard), marks[0]) == (set(range(11)), 0)
