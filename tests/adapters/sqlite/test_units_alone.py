"""A unit that must run alone gets its turn however busy its neighbours are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from insula.adapters.sqlite.commit_thread import Action, Done
from insula.adapters.sqlite.errors import TransactionLost
from insula.kernel.errors import Failure
from insula.store.database import Scope
from support.notes import OpenDatabase, add_note, scope

WRITES = 300


async def ends_the_transaction(work: Any) -> None:
    await work.execute("insert or rollback into notes (id, text) values (1, 'again')")


async def breaks_the_commit(work: Any) -> None:
    await work.execute("insert into child (note) values (99999)")


@pytest.mark.parametrize(("guilty", "error"), [(ends_the_transaction, TransactionLost), (breaks_the_commit, Failure)])
async def test_callers_who_write_again_at_once_make_way(open_database: OpenDatabase, guilty: Any, error: Any) -> None:
    async def child(work: Any) -> None:
        await work.execute("create table child (note integer references notes deferrable initially deferred)")

    async with asyncio.timeout(20), open_database() as database:
        await add_note(database, "first")
        await database.perform(child, scope())

        async def busy(name: str) -> int:
            for count in range(WRITES):
                if waiting.done() and innocent.done():
                    return count
                await add_note(database, name)
            return WRITES

        callers = [asyncio.ensure_future(busy(f"caller {number}")) for number in range(4)]
        innocent = asyncio.ensure_future(add_note(database, "innocent"))
        waiting = asyncio.ensure_future(database.perform(guilty, scope("notes.guilty")))
        assert max(await asyncio.gather(*callers)) < WRITES
        await innocent
        with pytest.raises(error):
            await waiting


class CancellingCommitter:
    """A committer that cancels a task in the moment when a commit ends."""

    victim: asyncio.Task[None] | None = None

    def start(self, commit: Action, done: Done, units: Sequence[Scope]) -> None:
        loop = asyncio.get_running_loop()
        commit()
        loop.call_soon(done, None)
        if self.victim is not None:
            loop.call_soon(self.victim.cancel)

    def close(self) -> None:
        self.victim = None


async def test_those_who_made_way_go_on_when_the_one_they_made_way_for_gives_up(open_database: OpenDatabase) -> None:
    committer = CancellingCommitter()
    async with open_database(committer=committer) as database:
        writer = database._writer
        await writer.acquire()
        ordinary = asyncio.create_task(writer.acquire())
        committer.victim = asyncio.create_task(writer.acquire(alone=True))
        await asyncio.sleep(0)
        writer.release(None)
        await asyncio.wait([committer.victim, ordinary], timeout=5)
        assert (committer.victim.cancelled(), ordinary.done()) == (True, True)
        writer.release(None)
