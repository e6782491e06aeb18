"""What a handler peeks at is read again when its turn begins; if it has changed, the handler runs again."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from sqlalchemy import func, select

from support.notes import NOTES, NoteTaken, OpenDatabase, add_note, scope, texts, together

COUNT = select(func.count()).select_from(NOTES)


async def test_a_peek_that_has_changed_runs_the_handler_again(open_database: OpenDatabase) -> None:
    gate, peeked, runs = asyncio.Event(), asyncio.Event(), 0

    async def deciding(work: Any) -> int:
        nonlocal runs
        runs += 1
        count = len(await work.peek(select(NOTES.c.id)))
        peeked.set()
        await gate.wait()
        await work.execute(NOTES.insert(), {"text": f"after {count}"})
        return count

    async with open_database() as database:
        waiting = asyncio.ensure_future(database.perform(deciding, scope()))
        await peeked.wait()
        await add_note(database, "meanwhile")
        gate.set()
        assert await waiting == 1
        assert runs == 2
        assert await texts(database) == ["meanwhile", "after 1"]


async def test_a_peek_that_has_changed_is_noticed_by_a_unit_that_only_publishes(open_database: OpenDatabase) -> None:
    gate, peeked = asyncio.Event(), asyncio.Event()

    async def deciding(work: Any) -> None:
        count = len(await work.peek(select(NOTES.c.id)))
        peeked.set()
        await gate.wait()
        work.publish(NoteTaken(text=f"after {count}"))

    async with open_database() as database:
        waiting = asyncio.ensure_future(database.perform(deciding, scope()))
        await peeked.wait()
        await add_note(database, "meanwhile")
        gate.set()
        await waiting
        assert [envelope.subject for envelope in await database.log_after(0, (), 10)] == ["after 1"]


async def test_a_peek_that_still_holds_runs_once(open_database: OpenDatabase) -> None:
    runs = 0

    async def deciding(work: Any) -> None:
        nonlocal runs
        runs += 1
        await work.peek(COUNT)
        await work.execute(NOTES.insert(), {"text": "x"})

    async with open_database() as database:
        await database.perform(deciding, scope())
        assert runs == 1


async def test_a_peek_within_the_turn_sees_what_the_unit_has_written(open_database: OpenDatabase) -> None:
    async def looking(work: Any) -> int:
        await work.execute(NOTES.insert(), {"text": "own"})
        ((count,),) = await work.peek(COUNT)
        return int(count)

    async with open_database() as database:
        assert await database.perform(looking, scope()) == 1


async def test_peeks_at_one_row_by_many_at_once_all_come_through(open_database: OpenDatabase) -> None:
    async def bump(work: Any) -> None:
        ((count,),) = await work.peek(COUNT)
        await work.execute(NOTES.insert(), {"id": count + 1, "text": str(count)})

    async with open_database() as database:
        outcomes = await together(*(database.perform(bump, scope(f"notes.{number}")) for number in range(15)))
        assert outcomes == [None] * 15
        assert await texts(database) == [str(number) for number in range(15)]


async def test_units_that_change_one_row_all_get_through(open_database: OpenDatabase) -> None:
    async def bump(work: Any) -> None:
        ((text,),) = (await work.execute("select text from notes")).all()
        await work.execute("update notes set text = :text", {"text": str(int(text) + 1)})

    async with open_database() as database:
        await add_note(database, "0")
        results = await together(*(database.perform(bump, scope(f"notes.{number % 3}")) for number in range(60)))
        assert Counter(type(each) for each in results) == {type(None): 60}
        assert await texts(database) == ["60"]


async def test_units_that_outrun_each_other_all_get_through(open_database: OpenDatabase) -> None:
    async def bump(work: Any) -> None:
        ((text,),) = await work.peek("select text from notes")
        await work.execute("update notes set text = :text", {"text": str(int(text) + 1)})

    async with open_database() as database:
        await add_note(database, "0")
        results = await together(*(database.perform(bump, scope(f"notes.{number}")) for number in range(60)))
        assert Counter(type(each) for each in results) == {type(None): 60}
        assert await texts(database) == ["60"]


async def test_two_units_that_each_decide_by_what_the_other_writes_do_not_both_get_their_way(
    open_database: OpenDatabase,
) -> None:
    async def if_empty(work: Any) -> int:
        count = await work.scalar(COUNT)
        if count == 0:
            await work.execute(NOTES.insert(), {"text": "first"})
        return int(count)

    async with open_database() as database:
        for _ in range(5):
            await together(*(database.perform(if_empty, scope(f"notes.{number}")) for number in range(4)))
            assert await texts(database) == ["first"]
            await database.perform(emptying, scope("notes.empty"))


async def emptying(work: Any) -> None:
    await work.execute(NOTES.delete())
