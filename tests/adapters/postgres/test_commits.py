"""A connection that breaks in the middle of a commit: what is certain is told, and what is not is found out."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from insula.adapters.postgres.address import Address
from insula.store.database import Duplicate
from insula.store.errors import OutcomeUnknown, ValueOutOfRange
from support.notes import NOTES, NoteTaken, scope, texts, together
from support.postgres import opened_on_postgres


class Breaking:
    """A connection that breaks at a statement, once, before or after the server has done it."""

    def __init__(self, connection: Any, at: str, *, done: bool) -> None:
        self._connection = connection
        self._at: str | None = at
        self._done = done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, sql: str, *arguments: Any, **options: Any) -> Any:
        return await self._run(self._connection.execute, sql, *arguments, **options)

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        return await self._run(self._connection.fetchrow, sql, *arguments)

    async def _run(self, run: Any, sql: str, *arguments: Any, **options: Any) -> Any:
        if self._at is None or not sql.startswith(self._at):
            return await run(sql, *arguments, **options)
        self._at = None
        if self._done:
            await run(sql, *arguments, **options)
        self._connection.terminate()
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


def break_once(pool: Any, at: str, *, done: bool) -> None:
    """Let the next connection of a pool break, which is a new one."""
    connect = pool._connect
    for link in pool._idle:
        link.connection.terminate()

    async def connecting(**settings: str) -> Any:
        pool._connect = connect
        return Breaking(await connect(**settings), at, done=done)

    pool._connect = connecting


async def writing(work: Any) -> int:
    await work.execute(NOTES.insert(), {"text": "once"})
    work.publish(NoteTaken(text="once"))
    return 7


async def publishing(work: Any) -> int:
    work.publish(NoteTaken(text="once"))
    return 7


CASES = [(writing, "_units", "commit"), (publishing, "_writers", "select head")]
MARKED_CASES = [(writing, "_units", "commit"), (publishing, "_writers", "commit")]


async def stored(database: Any) -> int:
    """How often the effect has happened."""
    head = int(await database.log_head())
    rows = len(await texts(database))
    assert rows in (0, head)
    return head


@pytest.mark.parametrize("done", [True, False], ids=["stored", "not stored"])
@pytest.mark.parametrize(("body", "pool", "at"), CASES)
async def test_whoever_cannot_ask_again_is_told_that_it_is_not_known(
    postgres_address: Address, body: Any, pool: str, at: str, done: bool
) -> None:
    async with opened_on_postgres(postgres_address) as database:
        await database._group.numbered()
        break_once(getattr(database, pool), at, done=done)
        with pytest.raises(OutcomeUnknown, match="it may have happened all the same"):
            await database.perform(body, scope())
        assert await stored(database) == (1 if done else 0)


@pytest.mark.parametrize("done", [True, False], ids=["stored", "not stored"])
@pytest.mark.parametrize(("body", "pool", "at"), MARKED_CASES)
async def test_a_marked_unit_runs_again_and_finds_out(
    postgres_address: Address, body: Any, pool: str, at: str, done: bool
) -> None:
    async with opened_on_postgres(postgres_address) as database:
        await database._group.numbered()
        break_once(getattr(database, pool), at, done=done)
        if done:
            with pytest.raises(Duplicate) as before:
                await database.perform(body, scope(mark="one"))
            assert before.value.answer.body == b"7"
        else:
            assert await database.perform(body, scope(mark="one")) == 7
        assert await stored(database) == 1


async def test_one_message_that_cannot_be_stored_does_not_take_its_batch_along(postgres_address: Address) -> None:
    def of(text: str) -> Any:
        async def body(work: Any) -> None:
            work.publish(NoteTaken(text=text))

        return body

    async with opened_on_postgres(postgres_address) as database:
        units = [database.perform(of(text), scope(text)) for text in ("a", "b\x00", "c")]
        first, refused, last = await together(*units)
        assert (first, last) == (None, None)
        assert isinstance(refused, ValueOutOfRange)
        assert [each.subject for each in await database.log_after(0, (), 10)] == ["a", "c"]
