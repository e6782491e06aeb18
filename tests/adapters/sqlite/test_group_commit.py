"""Many units share a commit, and one unit's trouble stays its own."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from insula.kernel.errors import StorageFull, Unavailable
from insula.store.errors import StatementDenied
from support.notes import NOTES, NoteTaken, OpenDatabase, add_note, scope, texts, together

NEIGHBOURS = [f"neighbour {number}" for number in range(20)]


async def among_neighbours(database: Any, guilty: Any) -> tuple[Any, list[str]]:
    """Run a guilty unit in the middle of a batch; returns its outcome and what the table holds afterwards."""
    half = len(NEIGHBOURS) // 2
    outcomes = await together(
        *(add_note(database, text) for text in NEIGHBOURS[:half]),
        database.perform(guilty, scope("notes.guilty")),
        *(add_note(database, text) for text in NEIGHBOURS[half:]),
    )
    guilty_outcome = outcomes.pop(half)
    assert outcomes == [None] * len(NEIGHBOURS)
    return guilty_outcome, await texts(database)


async def test_units_that_run_at_once_share_commits(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        commits = 0

        def count(types: frozenset[str]) -> None:
            nonlocal commits
            commits += 1

        database.on_append(count)

        async def publishing(work: Any) -> None:
            work.publish(NoteTaken(text="x"))

        await asyncio.gather(*(database.perform(publishing, scope(f"notes.{number}")) for number in range(50)))
        assert await database.log_head() == 50
        assert commits < 10


async def test_an_answer_waits_until_it_is_durable(open_database: OpenDatabase, tmp_path: Any) -> None:
    async with open_database() as database:
        await add_note(database, "kept")
        with sqlite3.connect(tmp_path / "notes.db") as other:
            assert other.execute("select text from notes").fetchall() == [("kept",)]


@pytest.mark.parametrize(
    "statement",
    ["commit", "rollback", "savepoint mine", "begin", "attach ':memory:' as other", "pragma foreign_keys=0"],
)
async def test_transaction_control_in_user_sql_is_refused(open_database: OpenDatabase, statement: str) -> None:
    async with open_database() as database:

        async def guilty(work: Any) -> None:
            await work.execute(NOTES.insert(), {"text": "guilty"})
            await work.execute(statement)

        outcome, stored = await among_neighbours(database, guilty)
        assert isinstance(outcome, StatementDenied)
        assert sorted(stored) == sorted(NEIGHBOURS)


async def test_or_rollback_that_ends_the_shared_transaction_fails_alone(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await add_note(database, "first")
        runs = 0

        async def guilty(work: Any) -> None:
            nonlocal runs
            runs += 1
            await work.execute("insert or rollback into notes (id, text) values (1, 'again')")

        outcome, stored = await among_neighbours(database, guilty)
        assert isinstance(outcome, Exception)
        assert "UNIQUE constraint failed" in str(outcome)
        assert runs == 2  # in the batch, and again alone
        assert sorted(stored) == sorted(["first", *NEIGHBOURS])


async def test_a_handler_that_hides_the_lost_transaction_still_fails(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await add_note(database, "first")

        async def guilty(work: Any) -> str:
            try:
                await work.execute("insert or rollback into notes (id, text) values (1, 'again')")
            except Exception:
                return "all is well"
            return "unreachable"

        outcome, stored = await among_neighbours(database, guilty)
        assert isinstance(outcome, Exception)
        assert sorted(stored) == sorted(["first", *NEIGHBOURS])


async def test_a_disk_that_fills_fails_the_unit_that_does_not_fit(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        pages = database._writer.statement("pragma page_count -- test").fetchone()[0]
        database._writer.statement(f"pragma max_page_count={pages + 20} -- test")

        async def guilty(work: Any) -> None:
            await work.execute(NOTES.insert(), {"text": "x" * 4096 * 100})

        outcome, stored = await among_neighbours(database, guilty)
        assert isinstance(outcome, StorageFull)
        assert sorted(stored) == sorted(NEIGHBOURS)


async def test_a_long_query_stops_no_writer(open_database: OpenDatabase) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000000) select count(*) from n"
    async with open_database() as database:
        query = asyncio.ensure_future(database.read(endless))
        for number in range(10):
            await add_note(database, str(number))
        assert not query.done()
        assert (await query)[0][0] == 5_000_000


async def test_a_foreign_lock_is_waited_for_and_then_reported(open_database: OpenDatabase, tmp_path: Any) -> None:
    async with open_database(busy_timeout_seconds=0.05) as database:
        with sqlite3.connect(tmp_path / "notes.db", isolation_level=None) as other:
            other.execute("begin immediate")
            with pytest.raises(Unavailable, match="another program holds a lock"):
                await add_note(database, "blocked")
            other.execute("rollback")
        await add_note(database, "free")
        assert await texts(database) == ["free"]
