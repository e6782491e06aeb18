"""The log: what units publish and send, gap-free, final, in the order of their commits."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta
from typing import Any

from insula.kernel.clock import SystemClock
from insula.messages import Command, Event
from insula.store.log import TIMER_SAVED
from support.notes import NOTES, NoteTaken, OpenDatabase, add_note, scope, together


class NoteMade(Event, key="text"):
    """Something else happened to a note."""

    text: str
    number: int


class Forget(Command[None], key="text"):
    """Sent to whoever keeps notes."""

    text: str


def publishing(*events: Event, writes: bool) -> Any:
    """A body that publishes, with SQL of its own or without."""

    async def body(work: Any) -> None:
        if writes:
            await work.execute(NOTES.insert(), {"text": "x"})
        for event in events:
            work.publish(event)

    return body


async def test_what_leaves_is_in_the_log_once_the_unit_has_ended(open_database: OpenDatabase) -> None:
    async def both(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "x"})
        work.publish(NoteTaken(text="taken"))
        work.send(Forget(text="taken"))

    async with open_database() as database:
        await database.perform(both, scope(mark="one"))
        first, second = await database.log_after(0, (), 10)
        assert [(each.position, each.kind, each.subject) for each in (first, second)] == [
            (1, "event", "taken"), (2, "command", "taken"),
        ]  # fmt: skip
        assert (first.source, first.type, first.data) == ("notes", NoteTaken.__message_name__, b'{"text":"taken"}')
        assert first.causation_id == first.correlation_id == scope(mark="one").mark.message_id
        assert abs(SystemClock().now() - first.time) < timedelta(minutes=1)


async def test_positions_have_no_gaps_whoever_fails_meanwhile(open_database: OpenDatabase) -> None:
    async def failing(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "x"})
        work.publish(NoteTaken(text="undone"))
        raise ValueError("a bug")

    async with open_database() as database:
        units = []
        for number in range(20):
            units.append(database.perform(publishing(NoteTaken(text="p"), writes=False), scope(f"p{number}")))
            units.append(database.perform(publishing(NoteTaken(text="w"), writes=True), scope(f"w{number}")))
            units.append(database.perform(failing, scope(f"f{number}")))
        await together(*units)
        envelopes = await database.log_after(0, (), 100)
        assert [each.position for each in envelopes] == list(range(1, 41))
        assert len({each.id for each in envelopes}) == 40
        assert await database.log_head() == 40


async def test_the_order_of_one_key_is_that_of_the_commits(open_database: OpenDatabase) -> None:
    keys = ("a", "b", "c")
    committed = defaultdict[str, list[int]](list)

    async with open_database() as database:

        async def writer(key: str, name: str) -> None:
            for number in range(12):
                body = publishing(NoteMade(text=key, number=number), writes=number % 3 != 0)
                await database.perform(body, scope(f"{key}{name}{number}"))
                committed[f"{key}{name}"].append(number)

        await asyncio.gather(*(writer(key, name) for key in keys for name in "xy"))
        by_key = defaultdict[str, list[int]](list)
        for envelope in await database.log_after(0, (), 100):
            by_key[str(envelope.subject)].append(int(envelope.data.rpartition(b":")[2].rstrip(b"}")))
        for key in keys:
            assert sorted(by_key[key]) == sorted([*range(12), *range(12)])
            assert _merges(by_key[key])


def _merges(numbers: list[int]) -> bool:
    """Whether two rising sequences were mixed without changing the order of either."""
    firsts = [numbers.index(number) for number in range(12)]
    lasts = [len(numbers) - 1 - numbers[::-1].index(number) for number in range(12)]
    return firsts == sorted(firsts) and lasts == sorted(lasts)


async def test_a_unit_that_was_answered_stands_before_one_that_began_afterwards(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        for number in range(10):
            event = NoteMade(text=str(number % 2), number=number)
            await database.perform(publishing(event, writes=number % 2 == 0), scope(f"n{number}"))
        data = [each.data for each in await database.log_after(0, (), 100)]
        assert data == [b'{"text":"%d","number":%d}' % (number % 2, number) for number in range(10)]


async def test_the_log_is_read_by_position_type_and_number(open_database: OpenDatabase) -> None:
    taken, made = NoteTaken.__message_name__, NoteMade.__message_name__
    async with open_database() as database:
        assert (await database.log_head(), await database.log_first()) == (0, 0)
        for number in range(6):
            event = NoteTaken(text="t") if number % 2 else NoteMade(text="m", number=number)
            await database.perform(publishing(event, writes=False), scope(f"n{number}"))

        async def positions(after: int, types: Any, limit: int) -> list[int]:
            return [each.position for each in await database.log_after(after, types, limit)]

        assert await positions(2, (), 10) == [3, 4, 5, 6]
        assert await positions(0, (), 2) == [1, 2]
        assert await positions(0, {taken}, 10) == [2, 4, 6]
        assert await positions(2, {taken, made}, 2) == [3, 4]
        assert await positions(0, {"unknown"}, 10) == []
        assert await database.log_count(1, {taken}) == 3
        assert await database.log_count(2, {taken, made}) == 4
        assert (await database.log_head(), await database.log_first()) == (6, 1)


async def test_positions_go_on_after_a_restart(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await database.perform(publishing(NoteTaken(text="one"), writes=True), scope("one"))
    async with open_database() as database:
        await database.perform(publishing(NoteTaken(text="two"), writes=False), scope("two"))
        assert [(each.position, each.subject) for each in await database.log_after(0, (), 10)] == [
            (1, "one"), (2, "two"),
        ]  # fmt: skip


async def test_listeners_hear_of_the_types_appended_and_of_nothing_else(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        heard: set[str] = set()
        at_head: list[int] = []
        rang = asyncio.Event()

        def listen(types: frozenset[str]) -> None:
            heard.update(types)
            rang.set()

        database.on_append(listen)
        await add_note(database, "no message leaves")
        assert heard == set()
        for writes, event in ((True, NoteTaken(text="x")), (False, NoteMade(text="y", number=1))):
            rang.clear()
            await database.perform(publishing(event, writes=writes), scope(type(event).__name__))
            async with asyncio.timeout(5):
                await rang.wait()
            at_head.append(await database.log_head())
        assert heard == {NoteTaken.__message_name__, NoteMade.__message_name__}
        assert at_head == [1, 2]


async def test_listeners_hear_of_delayed_messages_too(open_database: OpenDatabase) -> None:
    async def later(work: Any) -> None:
        work.send(Forget(text="x"), delay=timedelta(hours=1))

    async def later_with_sql(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "x"})
        work.send(Forget(text="y"), delay=timedelta(hours=1))

    async with open_database() as database:
        for body in (later, later_with_sql):
            heard: set[str] = set()
            database.on_append(heard.update)
            await database.perform(body, scope(body.__name__))
            assert TIMER_SAVED in heard
        assert await database.log_head() == 0


async def test_units_of_the_framework_append_what_they_are_given(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await database.perform(publishing(NoteTaken(text="one"), writes=False), scope("one"))
        (envelope,) = await database.log_after(0, (), 10)

        async def again(unit: Any) -> None:
            await unit.append([envelope, envelope])

        await database.perform(again, scope("again"))
        assert [each.position for each in await database.log_after(0, (), 10)] == [1, 2, 3]
