"""Several sessions to one file, as to a database server: leases, the fence, and what each sees of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from insula.adapters.sqlite.sessions import SqliteSession
from insula.kernel.clock import SystemClock
from insula.kernel.errors import Unavailable
from insula.messages import Envelope
from insula.store.database import ParkedState, Scope, Unit
from insula.store.errors import LeaseTaken
from insula.store.lease import act_for
from support.notes import TABLES, add_note, scope, texts

NOW = SystemClock().now()
NOTED = Envelope(
    id="event-1", source="orders", type="notes.Noted", kind="event", version=1, subject=None, time=NOW, data=b"{}",
    correlation_id="c", causation_id=None, traceparent=None, caller="x",
)  # fmt: skip

AS_HOLDER: dict[str, Callable[[Unit], Awaitable[None]]] = {
    "save a cursor": lambda unit: unit.save_cursor("log of orders", 9),
    "park": lambda unit: unit.park("notes.take", NOTED, attempts=1, due=NOW, error="x"),
    "park again": lambda unit: unit.repark(1, attempts=2, due=NOW, state=ParkedState.WAITING, error="x"),
    "bury": lambda unit: unit.bury("notes.take", "event-1"),
    "unpark": lambda unit: unit.unpark(1),
    "rename a consumer": lambda unit: unit.rename_consumer("notes.take", "notes.took"),
    "remove timers": lambda unit: unit.remove_timers(["t"]),
}


class Server:
    """A server with a clock that stands, which remembers what sessions tell."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.away = False
        self.sessions: list[SqliteSession] = []
        self.told: list[frozenset[str]] = []

    def reach(self) -> None:
        if self.away:
            raise Unavailable("away")

    def now(self) -> float:
        return self.seconds

    def joined(self, session: SqliteSession) -> None:
        self.sessions.append(session)

    def appended(self, types: frozenset[str]) -> None:
        self.told.append(types)


@asynccontextmanager
async def two_sessions(folder: Path) -> AsyncIterator[tuple[Server, SqliteSession, SqliteSession]]:
    server = Server()
    async with AsyncExitStack() as opened:
        for _ in range(2):
            session = SqliteSession(folder / "notes.db", "notes", SystemClock(), server=server, sole_process=True)
            session.prepare(TABLES, None)
            opened.push_async_callback(session.close)
        yield server, server.sessions[0], server.sessions[1]


async def do(session: SqliteSession, body: Callable[[Unit], Awaitable[None]]) -> None:
    await session.perform(body, Scope("the framework"))


async def test_one_holder_at_a_time_has_a_lease_and_each_holding_a_greater_number(tmp_path: Path) -> None:
    async with two_sessions(tmp_path) as (server, one, other):
        first = await one.leases.acquire("background", "a", 9)
        assert await other.leases.acquire("background", "b", 9) is None
        server.seconds = 8
        assert await one.leases.renew(first, 9) is not None
        server.seconds = 18
        assert await one.leases.renew(first, 9) is None
        second = await other.leases.acquire("background", "b", 9)
        await one.leases.release(first)  # too late, and so without effect
        again = await other.leases.acquire("background", "b", 9)
        assert await one.leases.acquire("background", "a", 9) is None
        await other.leases.release(again)
        third = await one.leases.acquire("background", "a", 9)
        assert [each.token for each in (first, second, again, third)] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", AS_HOLDER)
async def test_what_the_holder_stores_is_refused_once_another_has_the_lease(tmp_path: Path, name: str) -> None:
    async with two_sessions(tmp_path) as (server, one, other):
        act_for(one.leases, await one.leases.acquire("background", "a", 9))
        await do(one, AS_HOLDER[name])
        server.seconds = 10
        await do(one, AS_HOLDER[name])  # nobody else has it yet
        await other.leases.acquire("background", "b", 9)
        with pytest.raises(LeaseTaken, match="another process has taken the lease background"):
            await do(one, AS_HOLDER[name])
        await do(other, AS_HOLDER[name])  # it acts for none, as an operator's tool does


async def test_the_lease_cannot_be_taken_in_the_middle_of_what_it_allows(tmp_path: Path) -> None:
    async with two_sessions(tmp_path) as (server, one, other):
        act_for(one.leases, await one.leases.acquire("background", "a", 9))
        server.seconds = 10
        _, taken = await asyncio.gather(do(one, AS_HOLDER["save a cursor"]), other.leases.acquire("background", "b", 9))
        assert taken is not None
        assert await other.cursor("log of orders") == 9


async def test_what_one_session_writes_the_other_reads_and_waits_for(tmp_path: Path) -> None:
    async with two_sessions(tmp_path) as (_, one, other):
        await asyncio.gather(*(add_note(session, str(number)) for number in range(5) for session in (one, other)))
        assert len(await texts(one)) == len(await texts(other)) == 10


async def test_others_are_told_that_the_log_has_grown_and_know_how_far(tmp_path: Path) -> None:
    async with two_sessions(tmp_path) as (server, one, other):
        heard: list[frozenset[str]] = []
        other.on_append(heard.append)
        assert await other.log_head() == 0
        await do(one, lambda unit: unit.append([NOTED]))
        assert await other.log_head() == 1
        other.heard(server.told[-1])
        assert (server.told, heard) == ([frozenset({"notes.Noted"})], [frozenset({"notes.Noted"})])


async def test_a_transaction_that_the_server_ends_runs_again(tmp_path: Path) -> None:
    async with two_sessions(tmp_path) as (_, one, other):
        runs = 0

        async def body(unit: Unit) -> None:
            nonlocal runs
            runs += 1
            await unit.execute("insert into notes (text) values ('once')")
            if runs == 1:
                asyncio.get_running_loop().call_soon(one.roll_back)

        await one.perform(body, scope())
        assert (runs, await texts(other)) == (2, ["once"])


async def test_nothing_is_done_while_the_server_cannot_be_reached(tmp_path: Path) -> None:
    async with two_sessions(tmp_path) as (server, one, _):
        server.away = True
        for attempt in (add_note(one, "x"), one.cursor("log of orders"), one.read("select 1")):
            with pytest.raises(Unavailable, match="away"):
                await attempt
        with pytest.raises(Unavailable, match="away"):
            one.reading("notes.find")
        server.away = False
        assert await texts(one) == []
