"""What another reader is given, who asked before us and has died or hangs, comes here all the same, and soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from nats import connect
from nats.aio.client import Client

from contracts.transport.reading import message, positions, reading
from insula.adapters.nats.transport import NatsTransport
from insula.kernel.errors import Unavailable
from insula.runtime.local.nats import LocalNats

_SECOND = 1_000_000_000


@asynccontextmanager
async def hanging_reader(server: LocalNats, stream: str, takes: int, *, seconds: int) -> AsyncIterator[Client]:
    """One who has asked for messages and does nothing with them."""
    async with await connect(server.url) as client:
        await client.subscribe("hangs")
        request = msgspec.json.encode({"batch": takes, "expires": seconds * _SECOND})
        await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.reading-0", request, reply="hangs")
        await client.flush()
        yield client


@asynccontextmanager
async def channel(server: LocalNats, prefix: str) -> AsyncIterator[NatsTransport]:
    """A stream of one partition, with a receiver."""
    transport = NatsTransport(server.url, prefix=prefix, partitions=1)
    async with asyncio.timeout(20):
        try:
            await transport.open("source", ["reading"])
            yield transport
        finally:
            await transport.close()


async def read(transport: NatsTransport, count: int) -> list[int]:
    """The first that come, read again and again until the reading is not broken off."""
    while True:
        async with reading(transport) as reader:
            with suppress(Unavailable):
                return positions(await reader.next(count))


@pytest.mark.parametrize(("takes", "count"), [(1, 1), (1, 3), (2, 3), (100, 3)])
async def test_what_went_to_one_who_hangs_is_read_in_its_order_long_before_the_server_gives_him_up(
    nats_server: LocalNats, takes: int, count: int
) -> None:
    prefix, numbers = f"hung{takes}of{count}", range(1, count + 1)
    async with (
        channel(nats_server, prefix) as transport,
        hanging_reader(nats_server, f"{prefix}-source", takes, seconds=2),
    ):
        await transport.publish("source", [message(number) for number in numbers])
        assert await read(transport, count) == list(numbers)
