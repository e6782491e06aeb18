"""A marked message works once, and is answered alike for ever."""

from __future__ import annotations

from typing import Any

import pytest

from insula.store.database import Answer, Duplicate, Mark, Outcome
from support.notes import NOTES, NoteTaken, OpenDatabase, TooLong, scope, texts, together


def writing(value: int) -> Any:
    async def body(work: Any) -> int:
        await work.execute(NOTES.insert(), {"text": "once"})
        return value

    return body


def publishing(value: int) -> Any:
    async def body(work: Any) -> int:
        work.publish(NoteTaken(text="once"))
        return value

    return body


@pytest.mark.parametrize("does", [writing, publishing])
async def test_a_marked_message_works_once_however_often_it_comes_at_once(
    open_database: OpenDatabase, does: Any
) -> None:
    async with open_database() as database:
        outcomes = await together(*(database.perform(does(7), scope(mark="one")) for _ in range(5)))
        assert outcomes.count(7) == 1
        duplicates = [outcome for outcome in outcomes if outcome != 7]
        assert [type(outcome) for outcome in duplicates] == [Duplicate] * 4
        assert {outcome.answer.body for outcome in duplicates} == {b"7"}
        assert len(await texts(database)) + await database.log_head() == 1


@pytest.mark.parametrize("does", [writing, publishing])
async def test_a_marked_message_that_comes_again_later_gets_its_answer(open_database: OpenDatabase, does: Any) -> None:
    async with open_database() as database:
        assert await database.perform(does(7), scope(mark="one")) == 7
    async with open_database() as database:
        with pytest.raises(Duplicate) as again:
            await database.perform(does(8), scope(mark="one"))
        assert again.value.answer == Answer(Outcome.DONE, b"7")
        assert await database.answer_of(scope(mark="one").mark) == Answer(Outcome.DONE, b"7")
        assert await database.answer_of(scope(mark="two").mark) is None


@pytest.mark.parametrize("writes", [True, False])
async def test_a_rejection_undoes_the_effects_and_keeps_the_answer(open_database: OpenDatabase, writes: bool) -> None:
    async def refusing(work: Any) -> None:
        if writes:
            await work.execute(NOTES.insert(), {"text": "undone"})
        work.publish(NoteTaken(text="undone"))
        raise TooLong

    async with open_database() as database:
        with pytest.raises(TooLong):
            await database.perform(refusing, scope(mark="one"))
        assert (await texts(database), await database.log_head()) == ([], 0)
        for body in (refusing, writing(1)):
            with pytest.raises(Duplicate) as again:
                await database.perform(body, scope(mark="one"))
            assert again.value.answer == Answer(Outcome.REJECTED, str(TooLong()).encode())
        assert await texts(database) == []


async def test_a_rejection_that_is_nobodys_answer_leaves_no_mark(open_database: OpenDatabase) -> None:
    async def refusing(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "undone"})
        raise TooLong

    async with open_database() as database:
        of_an_event = scope(mark="one")
        of_an_event.reject = None
        with pytest.raises(TooLong):
            await database.perform(refusing, of_an_event)
        assert await database.perform(writing(7), scope(mark="one")) == 7


async def test_a_failure_leaves_no_mark(open_database: OpenDatabase) -> None:
    async def failing(work: Any) -> int:
        await work.execute(NOTES.insert(), {"text": "undone"})
        raise ValueError("a bug")

    async with open_database() as database:
        with pytest.raises(ValueError, match="a bug"):
            await database.perform(failing, scope(mark="one"))
        assert await database.perform(writing(7), scope(mark="one")) == 7
        assert await texts(database) == ["once"]


async def test_an_answer_keeps_the_fingerprint_of_the_message_it_was_given_to(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        first, second = scope(mark="one"), scope(mark="one")
        assert first.mark is not None
        first.mark = Mark("notes.test", first.mark.message_id, fingerprint="first")
        second.mark = Mark("notes.test", first.mark.message_id, fingerprint="second")
        await database.perform(writing(7), first)
        with pytest.raises(Duplicate) as again:
            await database.perform(writing(7), second)
        assert again.value.answer.fingerprint == "first"


async def test_a_message_can_be_closed_without_its_handler(open_database: OpenDatabase) -> None:
    mark = Mark("notes.test", "00000000-0000-0000-0000-000000000001", "orders", 3)

    async def closing(unit: Any) -> None:
        await unit.close(mark, Outcome.EXPIRED)

    async with open_database() as database:
        await database.perform(closing, scope("notes.close"))
        await database.perform(closing, scope("notes.close"))
        found = await database.answer_of(mark)
        assert (found.outcome, found.body) == (Outcome.EXPIRED, b"")


async def test_a_renamed_consumer_keeps_its_marks(open_database: OpenDatabase) -> None:
    async def renaming(unit: Any) -> None:
        await unit.rename_consumer("notes.test", "notes.heir")

    async with open_database() as database:
        await database.perform(writing(7), scope(mark="one"))
        await database.perform(renaming, scope("notes.rename"))
        mark = scope(mark="one").mark
        assert await database.answer_of(mark) is None
        assert await database.answer_of(Mark("notes.heir", mark.message_id)) is not None
