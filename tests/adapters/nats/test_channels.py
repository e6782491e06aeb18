"""Streams as they must be, and what happens where they are not, or are full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from nats import connect
from nats.js.api import DiscardPolicy, RetentionPolicy

from contracts.transport.reading import message, positions, reading
from insula.adapters.nats.transport import NatsTransport
from insula.kernel.errors import ConfigurationError, Failure, Unavailable
from insula.runtime.local.nats import LocalNats


@asynccontextmanager
async def connected(server: LocalNats, prefix: str, **options: int) -> AsyncIterator[NatsTransport]:
    transport = NatsTransport(server.url, prefix=prefix, **options)  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        try:
            yield transport
        finally:
            await transport.close()


async def test_a_stream_keeps_what_is_unread_without_limit_of_time_and_refuses_what_does_not_fit(
    nats_server: LocalNats,
) -> None:
    async with connected(nats_server, "kept") as transport:
        await transport.open("source", ["reading"])
        async with await connect(nats_server.url) as client:
            found = await client.jetstream().stream_info("kept-source")
            consumer = await client.jetstream().consumer_info("kept-source", "reading-3")
    assert found.config.retention == RetentionPolicy.INTEREST
    assert found.config.discard == DiscardPolicy.NEW
    assert not found.config.max_age
    assert consumer.config.backoff is None
    assert consumer.config.max_deliver == -1


async def test_a_full_stream_refuses_the_rest_until_somebody_has_read(nats_server: LocalNats) -> None:
    async with connected(nats_server, "full", limit_bytes=4000, partitions=1) as transport:
        await transport.open("source", ["reading"])
        sent = [message(number) for number in range(1, 21)]
        with pytest.raises(Unavailable, match="maximum bytes exceeded"):
            await transport.publish("source", sent)
        async with reading(transport) as reader:
            first = await reader.next(5)
            await reader.acknowledge(first)
            came = positions(first)
            while came[-1] < 20:
                with suppress(Unavailable):
                    await transport.publish("source", sent)
                more = await reader.next(1)
                await reader.acknowledge(more)
                came += positions(more)
    assert came == list(range(1, 21))


async def test_a_message_that_is_too_large_for_the_server_is_told_with_its_size(nats_server: LocalNats) -> None:
    async with connected(nats_server, "large") as transport:
        await transport.open("source", ["reading"])
        large = msgspec.structs.replace(message(1), data=b'"' + b"x" * 1_100_000 + b'"')
        with pytest.raises(Failure, match=r"Said message-1 has 1100\d\d\d bytes, .* raise its max_payload"):
            await transport.publish("source", [large])


async def test_another_number_of_shares_is_refused(nats_server: LocalNats) -> None:
    async with connected(nats_server, "four") as transport:
        await transport.open("source", ["reading"])
    async with connected(nats_server, "four", shares=8) as transport:
        with pytest.raises(ConfigurationError, match="four-source is read in 4 shares, not in 8"):
            await transport.open("source", ["reading"])


async def test_another_number_of_partitions_is_refused(nats_server: LocalNats) -> None:
    async with connected(nats_server, "sixteen") as transport:
        await transport.open("source", [])
    async with connected(nats_server, "sixteen", partitions=8) as transport:
        with pytest.raises(ConfigurationError, match="sixteen-source has 16 partitions, not 8"):
            await transport.open("source", [])


async def test_a_stream_of_somebody_else_is_refused(nats_server: LocalNats) -> None:
    async with await connect(nats_server.url) as client:
        await client.jetstream().add_stream(name="theirs-source", subjects=["theirs.>"])
    async with connected(nats_server, "theirs") as transport:
        with pytest.raises(ConfigurationError, match="the stream theirs-source was not made by Insula"):
            await transport.open("source", [])


async def test_another_limit_is_taken_over(nats_server: LocalNats) -> None:
    for limit in (1_000_000, 2_000_000):
        async with connected(nats_server, "limits", limit_bytes=limit) as transport:
            await transport.open("source", [])
    async with await connect(nats_server.url) as client:
        assert (await client.jetstream().stream_info("limits-source")).config.max_bytes == 2_000_000


async def test_what_is_no_message_of_ours_is_passed_over_and_told(
    nats_server: LocalNats, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(nats_server, "foreign", partitions=1) as transport, reading(transport) as reader:
        async with await connect(nats_server.url) as client:
            await client.jetstream().publish("foreign.source.0.0", b"hello")
        await transport.publish("source", [message(1)])
        assert positions(await reader.next(1)) == [1]
    assert "holds what is no message of Insula" in caplog.text


async def test_a_receiver_that_works_longer_than_the_server_waits_gets_nothing_twice(nats_server: LocalNats) -> None:
    options = {"partitions": 1, "acknowledge_seconds": 1}
    async with connected(nats_server, "slow", **options) as transport, reading(transport) as reader:
        await transport.publish("source", [message(1)])
        held = await reader.next(1)
        for _ in range(8):  # 0.3 s each: more than twice as long as the server waits
            assert await reader.nothing()
        await reader.acknowledge(held)
