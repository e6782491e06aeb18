"""The client that keeps trying, against a server that does not behave."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from insula.kernel import SeededRandomness
from shop.orders.contract import CancelOrder
from shop.traffic.client import GaveUp, ShopClient, seconds_of


class PatientClock:
    """Sleeping takes no time and is written down."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.elapsed += seconds


class Script:
    """Answers each request with the next reply, the last one for ever; keeps what was sent."""

    def __init__(self, *replies: int | str | dict[str, str]) -> None:
        self.replies = list(replies)
        self.keys: list[str | None] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("Idempotency-Key"))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply == "hang up":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(reply, dict):
            return web.Response(status=503, headers=reply)
        return web.json_response("the answer", status=int(reply))


@asynccontextmanager
async def a_client(script: Script, patience_seconds: float = 120) -> AsyncIterator[tuple[ShopClient, PatientClock]]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", script.answer)
    clock = PatientClock()
    async with TestServer(application) as server, aiohttp.ClientSession(str(server.make_url("/"))) as session:
        chance: Any = SeededRandomness(1)
        yield ShopClient(session, clock, chance, patience_seconds=patience_seconds), clock


CANCEL = CancelOrder(order_id="order-1")


async def test_lost_connections_and_5xx_are_repeated_with_the_same_key_and_growing_delay() -> None:
    script = Script("hang up", 500, 503, "hang up", 201)
    async with a_client(script) as (client, clock):
        answer = await client.post("/orders/order-1/cancel", CANCEL, "key-1")
        assert (answer.status, answer.value, answer.accepted) == (201, "the answer", True)
        assert script.keys == ["key-1"] * 5
        assert client.retries == 4
        assert all(before < after for before, after in zip(clock.slept, clock.slept[1:], strict=False))


async def test_delays_stay_below_two_seconds() -> None:
    async with a_client(Script(*[503] * 30, 200)) as (client, clock):
        await client.get("/products")
        assert 1 <= max(clock.slept) <= 2


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_a_no_is_an_answer(status: int) -> None:
    async with a_client(Script(status)) as (client, _):
        answer = await client.post("/orders", CANCEL, "key-1")
        assert (answer.status, answer.accepted, client.retries) == (status, False, 0)


async def test_retry_after_is_honoured() -> None:
    async with a_client(Script({"Retry-After": "1"}, 200)) as (client, clock):
        await client.get("/products")
        assert clock.slept == [1.0]


async def test_patience_ends() -> None:
    async with a_client(Script(503), patience_seconds=10) as (client, clock):
        with pytest.raises(GaveUp, match=r"GET /products: 503 .*after \d+ attempts"):
            await client.get("/products")
        assert 10 < clock.elapsed < 13
        with pytest.raises(GaveUp, match="after 1 attempts"):
            await client.get("/products")


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, None), ("0.5", 0.5), ("3600", 2.0), ("-1", 0.0), ("Wed, 21 Oct 2026", None)]
)
def test_a_retry_after_header_counts_up_to_our_longest_delay(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header) == seconds
