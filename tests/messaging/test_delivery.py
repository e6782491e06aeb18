"""From log to handler: once, in order per key, parking what fails."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from insula import Ask, Caller, Command, Context, Event, Module, Query, Rejection, SyncUnitOfWork, System, UnitOfWork
from insula.kernel.ids import INSULA_NAMESPACE, derive
from insula.store.database import ParkedState, Scope
from insula.store.errors import AskedWhileWriting, ForeignAwait, MessageIdReused
from insula.testing import Scenario


class Refused(Rejection, status=409):
    """The world is not as it should be."""

    reason: str


class Record(Command[int], rejects=(Refused,)):
    """Writes a line and says so."""

    key: str
    number: int


class Recorded(Event, key="key"):
    """A line was written."""

    key: str
    number: int


class Remind(Command[None], key="text"):
    """Sent to oneself, later."""

    text: str


class Later(Command[None]):
    """Asks for a reminder."""

    text: str
    seconds: int


class CountLines(Query[int]):
    """How many lines were copied."""


class AskThenWrite(Command[int]):
    """Asks in the right order."""


class WriteThenAsk(Command[int]):
    """Asks in the wrong order."""


class World:
    """What the tests change from outside."""

    def __init__(self) -> None:
        self.closed = False
        self.poison: set[str] = set()
        self.nights = 0
        self.seen: list[Any] = []


def build() -> tuple[System, Module, Module, Table, World]:
    """A writer module and a copier module, with their world."""
    world = World()
    writer, copier = Module("writer", tables=MetaData()), Module("copier", tables=MetaData())
    lines = Table("lines", writer.tables, Column("key", String), Column("number", Integer))
    copies = Table("copies", copier.tables, Column("key", String), Column("number", Integer))

    @writer.handle(Record)
    async def record(command: Record, work: UnitOfWork, context: Context, caller: Caller) -> int:
        if world.closed:
            raise Refused(reason="closed")
        world.seen.append((context.new_id(), context.idempotency_key("charge"), caller.subject))
        await work.execute(insert(lines), {"key": command.key, "number": command.number})
        work.publish(Recorded(key=command.key, number=command.number))
        return command.number

    @writer.handle(Later)
    async def later(command: Later, work: UnitOfWork) -> None:
        work.send(Remind(text=command.text), delay=timedelta(seconds=command.seconds))

    @writer.handle(Remind)
    async def remind(command: Remind, work: UnitOfWork) -> None:
        await work.execute(insert(lines), {"key": command.text, "number": 0})

    @writer.every("0 3 * * *")
    async def nightly(work: UnitOfWork) -> None:
        await work.execute(insert(lines), {"key": "night", "number": 0})

    @writer.handle(AskThenWrite)
    async def ask_then_write(command: AskThenWrite, ask: Ask, work: UnitOfWork) -> int:
        count = await ask(CountLines())
        await work.execute(insert(lines), {"key": "asked", "number": count})
        return count

    @writer.handle(WriteThenAsk)
    async def write_then_ask(command: WriteThenAsk, ask: Ask, work: UnitOfWork) -> int:
        await work.execute(insert(lines), {"key": "x", "number": 0})
        return await ask(CountLines())

    @copier.on(Recorded, attempts=3)
    async def copy(event: Recorded, work: UnitOfWork) -> None:
        await work.execute(insert(copies), {"key": event.key, "number": event.number})
        if event.key in world.poison:
            raise ValueError(f"cannot copy {event.key}")

    @copier.handle(CountLines)
    def count_lines(query: CountLines, work: SyncUnitOfWork) -> int:
        return int(work.scalar(select(func.count()).select_from(copies)))

    return System("copying", writer, copier), writer, copier, copies, world


async def order_of(scenario: Scenario, copier: Module, key: str) -> list[int]:
    """The numbers of one key in the order they were inserted."""
    rows = await scenario.rows(copier, "select number from copies where key = :key order by rowid", {"key": key})
    return [row[0] for row in rows]


async def test_a_poisoned_key_is_parked_while_the_others_flow_and_a_replay_completes_it() -> None:
    system, _, copier, _copies, world = build()
    async with Scenario(system) as scenario:
        world.poison.add("bad")
        for number in range(5):
            await scenario.call(Record(key="bad", number=number))
            await scenario.call(Record(key="good", number=number))
        await scenario.settle()
        assert await order_of(scenario, copier, "good") == [0, 1, 2, 3, 4]
        assert await order_of(scenario, copier, "bad") == []
        parked = await scenario.parked(copier)
        assert [each.envelope.subject for each in parked] == ["bad"] * 5
        assert (parked[0].state, parked[0].attempts) == (ParkedState.DEAD, 3)
        assert "cannot copy bad" in parked[0].error
        world.poison.clear()
        assert await scenario.replay(copier) == 5
        await scenario.settle()
        assert await order_of(scenario, copier, "bad") == [0, 1, 2, 3, 4]
        assert await scenario.parked(copier) == []


async def test_a_failure_that_passes_is_retried_in_order_without_a_trace_of_the_failed_attempts() -> None:
    system, _, copier, _, world = build()
    async with Scenario(system) as scenario:
        world.poison.add("slow")
        for number in range(3):
            await scenario.call(Record(key="slow", number=number))
        for relay in scenario.wired.relays:
            await relay.step()
        world.poison.clear()
        await scenario.call(Record(key="slow", number=3))
        await scenario.settle()
        assert await order_of(scenario, copier, "slow") == [0, 1, 2, 3]


async def test_parked_messages_survive_a_crash_and_keep_their_place() -> None:
    system, _, copier, _, world = build()
    async with Scenario(system) as scenario:
        world.poison.add("k")
        await scenario.call(Record(key="k", number=0))
        for relay in scenario.wired.relays:
            await relay.step()
        await scenario.restart()
        world.poison.clear()
        await scenario.call(Record(key="k", number=1))
        await scenario.settle()
        assert await order_of(scenario, copier, "k") == [0, 1]


async def test_a_crash_between_commit_and_relay_loses_nothing_and_repeats_nothing() -> None:
    system, _, copier, _, _ = build()
    async with Scenario(system) as scenario:
        for number in range(10):
            await scenario.call(Record(key="k", number=number))
        await scenario.restart()  # committed, not relayed
        for relay in scenario.wired.relays:
            await relay.step()
        await scenario.restart()  # relayed, the cursor not saved: everything is delivered again
        await scenario.settle()
        assert await order_of(scenario, copier, "k") == list(range(10))


async def test_two_writers_on_one_key_keep_the_order_of_the_log() -> None:
    system, writer, copier, _, _ = build()
    async with Scenario(system) as scenario:
        calls = [Record(key="k", number=number) for number in range(40)]
        await asyncio.gather(*(scenario.wired.bus.call(call) for call in calls))
        await scenario.settle(duplicate=True)
        log = await scenario.wired.databases[writer.name].log_after(0, (), 100)
        in_log = [int(envelope.data.split(b'"number":')[1].rstrip(b"}")) for envelope in log]
        assert sorted(in_log) == list(range(40))
        assert [envelope.position for envelope in log] == list(range(1, 41))
        assert await order_of(scenario, copier, "k") == in_log


async def test_the_same_message_id_gives_the_same_answer_and_one_effect() -> None:
    system, writer, *_ = build()
    key = derive(INSULA_NAMESPACE, "order 1")
    async with Scenario(system) as scenario:
        answers = [await scenario.call(Record(key="k", number=7), message_id=key) for _ in range(3)]
        assert answers == [7, 7, 7]
        assert len(await scenario.rows(writer, "select * from lines")) == 1
        with pytest.raises(MessageIdReused):
            await scenario.call(Record(key="k", number=8), message_id=key)


async def test_a_command_rejected_once_is_rejected_alike_after_the_world_has_changed() -> None:
    system, writer, _, _, world = build()
    key = derive(INSULA_NAMESPACE, "order 1")
    async with Scenario(system) as scenario:
        world.closed = True
        with pytest.raises(Refused) as first:
            await scenario.call(Record(key="k", number=7), message_id=key)
        world.closed = False
        await scenario.restart()
        with pytest.raises(Refused) as again:
            await scenario.call(Record(key="k", number=7), message_id=key)
        assert again.value == first.value
        assert await scenario.rows(writer, "select * from lines") == []


async def test_ids_and_idempotency_keys_are_the_same_in_every_run_of_one_message() -> None:
    system, _, _, _, world = build()
    key = derive(INSULA_NAMESPACE, "order 1")
    async with Scenario(system) as scenario:
        await scenario.call(Record(key="k", number=7), message_id=key, caller=Caller("ann"))
        await scenario.wired.databases["writer"].perform(_forget_everything, _scope())
        await scenario.call(Record(key="k", number=7), message_id=derive(INSULA_NAMESPACE, "order 2"))
    first, second = world.seen
    assert first[0] == derive(key, "id/1")
    assert first[1] == derive(key, "key/charge")
    assert first[2] == "ann"
    assert second[0] != first[0]


async def _forget_everything(work: Any) -> None:
    await work.execute("delete from lines")


def _scope() -> Any:
    return Scope("test")


async def test_a_delayed_command_comes_when_it_is_due_and_survives_a_restart() -> None:
    system, writer, *_ = build()
    async with Scenario(system) as scenario:
        await scenario.call(Later(text="tea", seconds=600))
        await scenario.settle()
        assert await scenario.rows(writer, "select * from lines") == []
        await scenario.restart()
        await scenario.advance(timedelta(seconds=599))
        assert await scenario.rows(writer, "select * from lines") == []
        await scenario.advance(timedelta(seconds=1))
        assert [row.key for row in await scenario.rows(writer, "select * from lines")] == ["tea"]
        await scenario.advance(timedelta(days=1) / 8)
        assert len(await scenario.rows(writer, "select * from lines where key = 'tea'")) == 1


async def test_a_schedule_fires_once_a_night_and_once_after_many_missed_nights() -> None:
    system, writer, *_ = build()
    async with Scenario(system) as scenario:
        await scenario.advance(timedelta(hours=3))
        assert len(await scenario.rows(writer, "select * from lines")) == 1
        await scenario.advance(timedelta(hours=24))
        assert len(await scenario.rows(writer, "select * from lines")) == 2
        scenario.clock.advance(timedelta(days=10))
        await scenario.restart()
        await scenario.settle()
        assert len(await scenario.rows(writer, "select * from lines")) == 3


async def test_a_handler_asks_before_it_writes() -> None:
    system, *_ = build()
    async with Scenario(system) as scenario:
        assert await scenario.call(AskThenWrite()) == 0
        with pytest.raises((AskedWhileWriting, ForeignAwait), match="Ask first"):
            await scenario.call(WriteThenAsk())


async def test_dropping_a_dead_letter_lets_its_key_flow_on() -> None:
    system, _, copier, _, world = build()
    async with Scenario(system) as scenario:
        world.poison.add("bad")
        await scenario.call(Record(key="bad", number=0))
        await scenario.settle()
        world.poison.clear()
        await scenario.call(Record(key="bad", number=1))
        await scenario.settle()
        assert await order_of(scenario, copier, "bad") == []
        [dead, _behind] = await scenario.parked(copier)
        assert await scenario.wired.receivers["copier"].drop(dead.sequence)
        await scenario.settle()
        assert await order_of(scenario, copier, "bad") == [1]


async def test_a_rejection_from_an_event_handler_is_a_dead_letter_at_once() -> None:
    writer, reader = Module("source"), Module("reader")

    @writer.handle(Record)
    async def record(command: Record, work: UnitOfWork) -> int:
        work.publish(Recorded(key=command.key, number=command.number))
        return 0

    @reader.on(Recorded)
    async def read(event: Recorded, work: UnitOfWork) -> None:
        raise Refused(reason="no")

    async with Scenario(System("refusing", writer, reader)) as scenario:
        await scenario.call(Record(key="k", number=1))
        await scenario.settle()
        [dead] = await scenario.parked(reader)
        assert (dead.state, dead.attempts) == (ParkedState.DEAD, 1)
        assert "Refused" in dead.error


async def test_pruning_keeps_what_a_redelivery_could_still_need() -> None:
    system, *_ = build()
    async with Scenario(system) as scenario:
        for number in range(5):
            await scenario.call(Record(key="k", number=number))
        await scenario.settle()
        database = scenario.wired.databases["copier"]
        later = scenario.clock.now() + timedelta(days=1)
        arguments = {"answers_before": later, "log_below": 0, "log_before": later, "limit": 100}
        assert await database.prune(marks={"writer": 3}, **arguments) == 3
        left = await database.read("select position from insula_inbox order by position")
        assert [row[0] for row in left] == [4, 5]
        source = scenario.wired.databases["writer"]
        assert await source.prune(marks={}, **{**arguments, "log_below": 5}) == 4
        assert await source.log_head() == 5


async def test_a_renamed_consumer_goes_on_where_the_earlier_name_stopped() -> None:
    def system_with(name: str, renamed_from: str | None) -> tuple[System, Module]:
        source, reader = Module("source"), Module("reader", tables=MetaData())
        seen = Table("seen", reader.tables, Column("number", Integer))

        @source.handle(Record)
        async def record(command: Record, work: UnitOfWork) -> int:
            work.publish(Recorded(key=command.key, number=command.number))
            return 0

        async def read(event: Recorded, work: UnitOfWork) -> None:
            await work.execute(insert(seen), {"number": event.number})

        read.__name__ = name
        reader.on(Recorded, renamed_from=renamed_from)(read)
        return System("renaming", source, reader), reader

    before, _ = system_with("read", None)
    async with Scenario(before) as scenario:
        await scenario.call(Record(key="k", number=1))
        for relay in scenario.wired.relays:
            await relay.step()
        scenario.system, reader = system_with("read_again", "reader.read")
        await scenario.restart()  # the cursor was not saved: number 1 is delivered again
        await scenario.call(Record(key="k", number=2))
        await scenario.settle()
        assert [row.number for row in await scenario.rows(reader, "select number from seen")] == [1, 2]


async def test_a_new_subscriber_begins_at_now() -> None:
    source, reader = Module("source"), Module("reader")
    heard: list[int] = []

    @source.handle(Record)
    async def record(command: Record, work: UnitOfWork) -> int:
        work.publish(Recorded(key=command.key, number=command.number))
        return 0

    @reader.on(Recorded)
    async def read(event: Recorded, work: UnitOfWork) -> None:
        heard.append(event.number)

    async with Scenario(System("alone", source)) as scenario:
        await scenario.call(Record(key="k", number=1))
        scenario.system = System("both", source, reader)
        await scenario.restart()
        await scenario.call(Record(key="k", number=2))
        await scenario.restart()  # before anything was relayed
        await scenario.settle()
        assert heard == [2]
