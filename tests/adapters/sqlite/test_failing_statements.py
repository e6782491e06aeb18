"""The unit's own statements fail: its savepoint, its undoing, the rollback of a batch. Nobody is left waiting."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from insula.adapters.sqlite.commit_thread import Action, Done
from insula.kernel.errors import Unavailable
from insula.store.database import Duplicate, Scope
from support.notes import NOTES, OpenDatabase, add_note, scope, texts, together


class OneFailure:
    """Runs the writer's statements; the first that begins with `start` fails, before or after it has done its work."""

    def __init__(self, writer: Any, start: str, *, done: bool = False) -> None:
        self._run = writer.statement
        self._start: str | None = start
        self._done = done

    def __call__(self, sql: str, *parameters: Any) -> Any:
        if self._start is None or not sql.startswith(self._start):
            return self._run(sql, *parameters)
        self._start = None
        if self._done:
            self._run(sql, *parameters)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error


@asynccontextmanager
async def failing_once(open_database: OpenDatabase, start: str, **options: Any) -> AsyncIterator[Any]:
    """A database on which one statement of the writer's fails."""
    done = options.pop("done", False)
    async with open_database(**options) as database:
        database._writer.statement = OneFailure(database._writer, start, done=done)
        try:
            async with asyncio.timeout(5):
                yield database
        except BaseException:
            database.let_go()  # closing would wait for a turn that is never given back
            raise


async def test_a_unit_whose_savepoint_fails_gives_the_turn_back(open_database: OpenDatabase) -> None:
    async with failing_once(open_database, "savepoint") as database:
        with pytest.raises(Unavailable, match="disk I/O error"):
            await add_note(database, "one")
        await add_note(database, "two")
        assert await texts(database) == ["two"]


async def test_a_unit_that_cannot_be_undone_takes_its_batch_with_it_which_runs_again(
    open_database: OpenDatabase,
) -> None:
    async def guilty(work: Any) -> None:
        await work.execute(NOTES.insert(), {"text": "guilty"})
        raise ValueError("a bug")

    async with failing_once(open_database, "rollback to") as database:
        neighbour, outcome = await together(
            add_note(database, "neighbour"), database.perform(guilty, scope("notes.guilty"))
        )
        assert neighbour is None
        assert isinstance(outcome, ValueError)
        assert await texts(database) == ["neighbour"]


async def test_an_answer_found_in_a_batch_that_is_lost_is_not_given(open_database: OpenDatabase) -> None:
    async def body(work: Any) -> int:
        await work.execute(NOTES.insert(), {"text": "once"})
        return 7

    async with failing_once(open_database, "rollback to") as database:
        outcomes = await together(*(database.perform(body, scope(mark="same")) for _ in range(2)))
        assert {type(outcome) for outcome in outcomes} == {int, Duplicate}
        assert await texts(database) == ["once"]


class FailingCommitter:
    """A committer whose first commit fails."""

    failed = False

    def start(self, commit: Action, done: Done, units: Sequence[Scope]) -> None:
        error = None if self.failed else sqlite3.OperationalError("disk I/O error")
        if error is None:
            commit()
        self.failed = True
        asyncio.get_running_loop().call_soon(done, error)

    def close(self) -> None:
        self.failed = True


async def test_units_of_a_failed_commit_are_told_though_its_rollback_reports_an_error(
    open_database: OpenDatabase,
) -> None:
    unhandled: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context["exception"]))
    async with failing_once(open_database, "rollback", done=True, committer=FailingCommitter()) as database:
        assert await together(add_note(database, "one"), add_note(database, "two")) == [None, None]
        assert sorted(await texts(database)) == ["one", "two"]
    assert [str(error) for error in unhandled] == ["disk I/O error"]
