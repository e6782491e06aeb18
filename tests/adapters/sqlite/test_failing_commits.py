"""COMMIT itself fails: certainly not stored, or perhaps stored after all."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest

from insula.adapters.sqlite.commit_thread import Action, Done
from insula.kernel.errors import Unavailable
from insula.messages import Event
from insula.store.database import Duplicate, Scope
from insula.store.errors import OutcomeUnknown
from support.notes import OpenDatabase, add_note, scope, texts, together


class Noted(Event):
    """Something to follow."""

    text: str


class FailingCommitter:
    """A committer of which one commit reports an error, before or after it is stored."""

    def __init__(self, *, stored: bool) -> None:
        self.stored = stored
        self.batches: list[int] = []
        self.armed = False

    def start(self, commit: Action, done: Done, units: Sequence[Scope]) -> None:
        self.batches.append(len(units))
        error: sqlite3.OperationalError | None = None
        if self.armed:
            self.armed = False
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        if error is None or self.stored:
            commit()
        asyncio.get_running_loop().call_soon(done, error)

    def close(self) -> None:
        self.armed = False


async def test_units_of_a_commit_that_was_not_stored_run_again(open_database: OpenDatabase) -> None:
    committer = FailingCommitter(stored=False)
    async with open_database(committer=committer) as database:
        committer.armed = True
        assert await together(add_note(database, "one"), add_note(database, "two")) == [None, None]
        assert await texts(database) == ["one", "two"]
        assert committer.batches == [2, 1, 1]


async def test_a_unit_whose_commit_is_uncertain_does_not_run_again_by_itself(open_database: OpenDatabase) -> None:
    committer = FailingCommitter(stored=True)
    async with open_database(committer=committer) as database:
        committer.armed = True
        with pytest.raises(OutcomeUnknown, match="may have happened"):
            await add_note(database, "one")
        assert await texts(database) == ["one"]


@pytest.mark.parametrize("stored", [True, False])
async def test_a_marked_unit_finds_out_what_became_of_an_uncertain_commit(
    open_database: OpenDatabase, stored: bool
) -> None:
    committer, runs = FailingCommitter(stored=stored), 0

    async def body(work: Any) -> int:
        nonlocal runs
        await work.execute("insert into notes (text) values ('one')")
        runs += 1
        return 7

    async with open_database(committer=committer) as database:
        committer.armed = True
        if stored:
            with pytest.raises(Duplicate) as before:
                await database.perform(body, scope("notes.body", mark="m"))
            assert before.value.answer.body == b"7"
        else:
            assert await database.perform(body, scope("notes.body", mark="m")) == 7
        assert (await texts(database), runs) == (["one"], 1 if stored else 2)


async def test_who_follows_the_log_is_told_of_what_may_have_been_stored(open_database: OpenDatabase) -> None:
    committer, heard = FailingCommitter(stored=True), []

    async def publish(work: Any) -> None:
        work.publish(Noted(text="one"))

    async with open_database(committer=committer) as database:
        database.on_append(heard.append)
        committer.armed = True
        with pytest.raises(OutcomeUnknown):
            await database.perform(publish, scope("notes.publish"))
        await asyncio.sleep(0)
        assert heard == [{"Noted"}]
        assert await database.log_head() == 1


async def test_a_unit_that_fails_alone_too_is_told_why(open_database: OpenDatabase) -> None:
    committer = FailingCommitter(stored=False)
    async with open_database(committer=committer) as database:
        committer.armed = True

        async def body(work: Any) -> None:
            await work.execute("insert into notes (text) values ('one')")
            committer.armed = True

        with pytest.raises(Unavailable, match="disk I/O error"):
            await database.perform(body, scope("notes.body"))
        assert await texts(database) == []
