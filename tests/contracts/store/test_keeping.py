"""What the framework keeps beside the user's tables: cursors, parked messages, timers, and what goes after a while."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from insula.messages import Envelope
from insula.store.database import Mark, Outcome, ParkedState, Timer
from support.notes import NOTES, NoteTaken, OpenDatabase, scope

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def envelope(number: int, key: str | None = "key", source: str = "orders") -> Envelope:
    """A message that waits."""
    identifier = f"00000000-0000-0000-0000-{number:012}"
    return Envelope(
        id=identifier, source=source, type="Went", kind="event", version=1, subject=key, time=NOON, data=b"{}",
        correlation_id=identifier, causation_id=None, traceparent=None, caller="anonymous", position=number,
    )  # fmt: skip


async def do(database: Any, *steps: Any, with_sql: bool = False) -> None:
    """Run framework steps in one unit, in a transaction with SQL of its own or not."""

    async def body(unit: Any) -> None:
        if with_sql:
            await unit.execute(NOTES.insert(), {"text": "x"})
        for step in steps:
            await step(unit)

    await database.perform(body, scope("framework"))


def park(number: int, key: str | None = "key", *, due: datetime = NOON, consumer: str = "copy") -> Any:
    return lambda unit: unit.park(consumer, envelope(number, key), attempts=1, due=due, error=f"error {number}")


def ids(parked: Sequence[Any]) -> list[int]:
    return [each.envelope.position for each in parked]


@pytest.mark.parametrize("with_sql", [False, True])
async def test_a_cursor_is_remembered_and_moved(open_database: OpenDatabase, with_sql: bool) -> None:
    async with open_database() as database:
        assert await database.cursor("log of orders") is None
        for position in (3, 7):
            await do(database, lambda unit, to=position: unit.save_cursor("log of orders", to), with_sql=with_sql)
            assert await database.cursor("log of orders") == position
        assert await database.cursor("log of billing") is None


@pytest.mark.parametrize("with_sql", [False, True])
async def test_parked_messages_wait_in_the_order_of_their_key(open_database: OpenDatabase, with_sql: bool) -> None:
    async with open_database() as database:
        for number, key in ((1, "a"), (2, "b"), (3, "a")):
            await do(database, park(number, key), with_sql=with_sql)
        assert await database.parked_keys() == {("copy", "orders", "a"), ("copy", "orders", "b")}
        assert ids(await database.parked_due({"copy"}, NOON, 10)) == [1, 2]
        head = await database.parked_of("copy", "orders", "a")
        assert (head.envelope, head.attempts, head.due, head.state, head.error) == (
            envelope(1, "a"), 1, NOON, ParkedState.WAITING, "error 1",
        )  # fmt: skip
        await do(database, lambda unit: unit.unpark(head.sequence), with_sql=with_sql)
        assert ids([await database.parked_of("copy", "orders", "a")]) == [3]
        assert await database.parked_of("copy", "orders", "c") is None


async def test_the_number_of_a_parked_message_is_never_used_again(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await do(database, park(1))
        first = await database.parked_of("copy", "orders", "key")
        await do(database, lambda unit: unit.unpark(first.sequence))
        await do(database, park(2))
        await do(database, lambda unit: unit.unpark(first.sequence))  # as a unit does that runs again
        assert ids([await database.parked_of("copy", "orders", "key")]) == [2]


async def test_a_message_without_a_key_is_parked_alone(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await do(database, park(1, None), park(2, None))
        assert {key for _, _, key in await database.parked_keys()} == {envelope(1).id, envelope(2).id}


async def test_a_message_is_parked_once_and_not_at_all_when_it_was_taken(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await do(database, lambda unit: unit.close(Mark("copy", envelope(1).id), Outcome.DONE))
        await do(database, park(1), park(2), park(2))
        assert ids(await database.parked_list(dead_only=False, limit=10)) == [2]


async def test_an_error_of_any_characters_can_be_parked(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        text = "NUL \x00, emoji \N{SNAKE}, quote '"
        await do(database, lambda unit: unit.park("copy", envelope(1), attempts=1, due=NOON, error=text))
        (parked,) = await database.parked_list(dead_only=False, limit=10)
        assert parked.error.replace("\\x00", "\x00") == text


async def test_parked_messages_come_due_and_become_dead_letters(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await do(database, park(1, "a"), park(2, "b", due=LATER), park(3, "c", consumer="gone"))
        assert await database.parked_next({"copy"}) == NOON
        assert await database.parked_next({"copy"}, after=NOON) == LATER
        assert await database.parked_next({"nobody"}) is None
        first, *_ = await database.parked_list(dead_only=False, limit=10)
        again = {"attempts": 5, "due": LATER, "state": ParkedState.WAITING, "error": "again"}
        await do(database, lambda unit: unit.repark(first.sequence, **again))
        assert ids(await database.parked_due({"copy"}, NOON, 10)) == []
        assert ids(await database.parked_due({"copy", "gone"}, LATER, 10)) == [3, 1, 2]
        await do(database, lambda unit: unit.bury("copy", envelope(2).id))
        assert ids(await database.parked_list(dead_only=True, limit=10)) == [2]
        assert await database.parked_counts() == {ParkedState.WAITING: 2, ParkedState.DEAD: 1}
        (chosen,) = await database.parked_chosen([first.sequence])
        assert (chosen.attempts, chosen.error) == (5, "again")
        assert ids(await database.parked_due({"copy"}, LATER, 10)) == [1]


async def test_a_renamed_consumer_keeps_what_is_parked_for_it(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await do(database, park(1))
        await do(database, lambda unit: unit.rename_consumer("copy", "heir"))
        assert await database.parked_keys() == {("heir", "orders", "key")}


async def test_timers_fire_in_the_order_of_their_moments_then_of_their_setting(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        timers = [
            Timer("b", NOON, envelope(1)),
            Timer("a", NOON, envelope(2)),
            Timer("nightly", LATER, envelope(3), "orders.nightly"),
        ]
        await do(database, lambda unit: unit.save_timers(timers))
        assert await database.timers_due(NOON, 10) == timers[:2]
        assert await database.timers_due(LATER, 1) == timers[:1]
        assert await database.timers_recurring() == timers[2:]
        assert (await database.timers_next(), await database.timers_next(once=True)) == (NOON, NOON)
        moved = Timer("b", LATER, envelope(4))
        await do(database, lambda unit: unit.remove_timers(["a"]), lambda unit: unit.save_timers([moved]))
        assert await database.timers_due(LATER, 10) == [timers[2], moved]
        await do(database, lambda unit: unit.remove_timers(["b", "nightly"]))
        assert await database.timers_next() is None


async def test_framework_steps_commit_with_the_handlers_effects_or_not_at_all(open_database: OpenDatabase) -> None:
    async def failing(unit: Any) -> None:
        await unit.save_cursor("log of orders", 3)
        await unit.execute(NOTES.insert(), {"text": "x"})
        await unit.save_cursor("log of orders", 4)
        raise ValueError("a bug")

    async with open_database() as database:
        with pytest.raises(ValueError, match="a bug"):
            await database.perform(failing, scope())
        assert await database.cursor("log of orders") is None


@pytest.mark.parametrize("writes", [False, True])
async def test_a_step_of_the_scope_commits_with_the_handler(open_database: OpenDatabase, writes: bool) -> None:
    async def handler(work: Any) -> None:
        if writes:
            await work.execute(NOTES.insert(), {"text": "x"})

    async with open_database() as database:
        await do(database, park(1))
        (parked,) = await database.parked_list(dead_only=False, limit=1)
        found = scope(mark="one")
        found.finally_ = (lambda unit: unit.unpark(parked.sequence),)
        await database.perform(handler, found)
        assert await database.parked_counts() == {}
        assert await database.answer_of(found.mark) is not None


async def test_pruning_takes_what_nothing_can_need_any_more_and_no_more(open_database: OpenDatabase) -> None:
    long_ago, now = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

    async def publishing(work: Any) -> None:
        work.publish(NoteTaken(text="x"))

    async with open_database() as database:
        for number in range(1, 6):
            mark = Mark("copy", envelope(number).id, "orders", number)
            await do(database, lambda unit, mark=mark: unit.close(mark, Outcome.DONE))
            await database.perform(publishing, scope(f"n{number}"))
        await database.perform(publishing, scope("called", mark="called"))
        nothing: dict[str, Any] = {"marks": {}, "answers_before": long_ago, "log_below": 0, "log_before": long_ago}
        assert await database.prune(**nothing, limit=100) == 0
        assert await database.prune(**{**nothing, "marks": {"orders": 3}}, limit=100) == 3
        assert await database.answer_of(Mark("copy", envelope(4).id)) is not None
        assert await database.prune(**{**nothing, "answers_before": now}, limit=100) == 1
        assert await database.prune(**{**nothing, "log_below": 2, "log_before": now}, limit=100) == 2
        assert await database.prune(**{**nothing, "log_below": 100, "log_before": now}, limit=2) == 2
        assert await database.prune(**{**nothing, "log_below": 100, "log_before": now}, limit=100) == 1
        assert (await database.log_first(), await database.log_head()) == (6, 6)  # the last one is counted from
        await database.perform(publishing, scope("next"))
        assert await database.log_head() == 7


async def test_the_mark_of_a_message_that_is_parked_too_stays_until_it_is_not(open_database: OpenDatabase) -> None:
    mark = Mark("copy", envelope(1).id, "orders", 1)
    past: dict[str, Any] = {"answers_before": NOON, "log_below": 0, "log_before": NOON, "limit": 100}
    async with open_database() as database:
        await do(database, park(1))  # stored and reported as failed, say: it is handled all the same
        await do(database, lambda unit: unit.close(mark, Outcome.DONE))
        assert await database.prune(marks={"orders": 1}, **past) == 0
        assert await database.answer_of(mark) is not None
        parked = await database.parked_of("copy", "orders", "key")
        await do(database, lambda unit: unit.unpark(parked.sequence))
        assert await database.prune(marks={"orders": 1}, **past) == 1
