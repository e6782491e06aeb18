"""The server takes connections, drains when asked, and says what is wrong with an address."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from insula.adapters.asgi.server import serve
from insula.kernel.errors import ConfigurationError


class Gate:
    """An application whose answer waits until it may go."""

    def __init__(self) -> None:
        self.entered, self.open = asyncio.Event(), asyncio.Event()
        self.lifespan: list[str] = []
        self.cancelled = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                self.lifespan.append(step)
                await send({"type": f"lifespan.{step}.complete"})
            return
        self.entered.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})


@asynccontextmanager
async def served(application: Any, **options: Any) -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Task[None]]]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stopping = asyncio.Event()
    task = asyncio.create_task(serve(application, port=0, stopping=stopping, on_ready=ready.set_result, **options))
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield await ready, stopping, task
    finally:
        stopping.set()
        await asyncio.wait([task])


async def get(address: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.get(address) as response:
        return response.status, await response.text()


async def refusal(port: int) -> None:
    """Connect until nobody listens any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:  # the listener closed in between
                continue
            writer.close()


async def test_it_answers_at_the_address_it_announces_on_this_machine_only() -> None:
    gate = Gate()
    gate.open.set()
    async with served(gate) as (address, _, task):
        assert address.startswith("http://127.0.0.1:")
        assert await get(address) == (200, "done")
        assert not task.done()
    assert gate.lifespan == ["startup", "shutdown"]


async def test_draining_takes_no_connection_and_finishes_what_is_under_way() -> None:
    gate = Gate()
    async with served(gate) as (address, stopping, task):
        under_way = asyncio.create_task(get(address))
        await gate.entered.wait()
        stopping.set()
        await refusal(int(address.rpartition(":")[2]))
        assert not task.done()
        gate.open.set()
        assert await under_way == (200, "done")
        await task
    assert gate.lifespan == ["startup", "shutdown"]
    assert gate.cancelled is False


async def test_what_is_not_done_when_the_time_to_drain_is_over_is_cancelled() -> None:
    gate = Gate()
    async with served(gate, drain_seconds=0.01) as (address, stopping, task):
        under_way = asyncio.create_task(get(address))
        await gate.entered.wait()
        stopping.set()
        await task
        assert gate.cancelled is True
        assert (await under_way)[0] == 500


async def test_cancelling_stops_at_once() -> None:
    gate = Gate()
    async with served(gate) as (address, _, task):
        under_way = asyncio.create_task(get(address))
        await gate.entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(aiohttp.ClientError):
            await under_way
        assert gate.cancelled is True


async def test_a_taken_port_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as error:
            await serve(Gate(), port=port, stopping=asyncio.Event())
    assert str(error.value) == (
        f"cannot serve HTTP at 127.0.0.1:{port}: Address already in use; choose another host or port"
    )


@pytest.mark.parametrize("host,port", [("127.0.0.1", 99999), ("no..host", 0), ("192.0.2.1", 0)])
async def test_an_address_that_cannot_be_used_is_named(host: str, port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot serve HTTP at {host}:{port}: "):
        await serve(Gate(), host=host, port=port, stopping=asyncio.Event())


async def test_an_application_that_refuses_to_start_is_not_served() -> None:
    async def refuses(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no disk"})

    announced: list[str] = []
    with pytest.raises(ConfigurationError, match="refused to start: no disk"):
        await serve(refuses, port=0, stopping=asyncio.Event(), on_ready=announced.append)
    assert announced == []


async def test_what_lives_as_long_as_the_process_is_kept_from_the_collector_while_serving() -> None:
    before = gc.get_freeze_count()
    async with served(Gate()):
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0
