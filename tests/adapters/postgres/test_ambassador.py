"""The ambassador of a database: connecting is tried again, given up for a moment where it is in vain, and counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import asyncpg
import pytest

from insula.adapters.postgres.address import Address
from insula.adapters.postgres.ambassador import FAILURES_BEFORE_OPEN, OPEN_SECONDS, Ambassador
from insula.kernel.errors import Unavailable
from insula.store.database import Scope, Unit
from insula.store.errors import DatabaseUnavailable
from insula.testing import virtual_time
from support.postgres import opened_on_postgres


class Server:
    """Answers, or does not."""

    def __init__(self, *answers: Exception | str) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.sleep: Callable[[], Awaitable[None]] | None = None

    async def connect(self, **settings: str) -> str:
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else "a connection"
        if isinstance(answer, Exception):
            raise answer
        if self.sleep is not None:
            await self.sleep()
        return answer


async def test_a_connection_that_breaks_while_it_is_made_is_made_again() -> None:
    with virtual_time() as clock:
        server = Server(ConnectionResetError())
        ambassador = Ambassador(server.connect, "orders")
        assert await clock.run(ambassador.connect()) == "a connection"
        assert (server.asked, ambassador.connected, ambassador.failed) == (2, 1, 0)


async def test_a_server_that_is_away_is_left_alone_for_a_moment_and_then_tried_by_one() -> None:
    with virtual_time() as clock:
        server = Server(*[ConnectionRefusedError("refused")] * 20)
        ambassador = Ambassador(server.connect, "orders")
        for _ in range(FAILURES_BEFORE_OPEN):
            with pytest.raises((ConnectionRefusedError, DatabaseUnavailable)):
                await clock.run(ambassador.connect())
        asked = server.asked
        with pytest.raises(DatabaseUnavailable, match=r"did not answer 5 times in a row \(refused\)") as caught:
            await clock.run(ambassador.connect())
        assert caught.value.retry_after == pytest.approx(OPEN_SECONDS, abs=0.3)
        assert server.asked == asked
        server.answers.clear()
        await clock.run(clock.sleep(OPEN_SECONDS))
        assert await clock.run(ambassador.connect()) == "a connection"


@pytest.mark.parametrize(
    "refusal", [asyncpg.InvalidPasswordError("wrong"), asyncpg.TooManyConnectionsError("too many"), ValueError("odd")]
)
async def test_a_refusal_is_an_answer_and_opens_no_circuit(refusal: Exception) -> None:
    with virtual_time() as clock:
        server = Server(*[refusal] * 10)
        ambassador = Ambassador(server.connect, "orders")
        for number in range(1, 11):
            with pytest.raises(type(refusal)):
                await clock.run(ambassador.connect())
            assert server.asked == number


async def test_a_server_that_is_back_and_slow_is_not_taken_for_away() -> None:
    with virtual_time() as clock:
        server = Server(*[ConnectionRefusedError("refused")] * 20)
        ambassador = Ambassador(server.connect, "orders")
        for _ in range(FAILURES_BEFORE_OPEN):
            with pytest.raises((ConnectionRefusedError, DatabaseUnavailable)):
                await clock.run(ambassador.connect())
        server.answers.clear()
        server.sleep = partial(clock.sleep, 3.0)
        await clock.run(clock.sleep(OPEN_SECONDS))
        assert await clock.run(ambassador.connect()) == "a connection"
        assert await clock.run(ambassador.connect()) == "a connection"


async def test_units_and_connections_are_counted(postgres_address: Address) -> None:
    async def body(unit: Unit) -> None:
        await unit.save_cursor("log of orders", 1)

    async with opened_on_postgres(postgres_address) as database:
        for _ in range(3):
            await database.perform(body, Scope("cursor"))
        found = database.measures()
        assert (found.units, found.repeated, found.refused, found.failed, found.circuit) == (3, 0, 0, 0, "closed")
        assert 1 <= found.open <= found.limit == 9
        assert found.connected >= found.open


async def test_who_waits_in_vain_for_a_connection_is_counted(postgres_address: Address) -> None:
    async with opened_on_postgres(postgres_address, connections=4, busy_timeout_seconds=0.05) as database:
        link = await database._units.take()  # the only one for units

        async def body(unit: Unit) -> None:
            await unit.turn()

        with pytest.raises(Unavailable, match="all 1 connections were busy"):
            await database.perform(body, Scope("waits"))
        database._units.give(link)
        found = database.measures()
        assert (found.waits, found.refused) == (1, 1)
        assert found.longest_wait_seconds >= 0.05
