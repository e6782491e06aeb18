"""Messages of an outbox are published to a stream of the application's own, once each as far as the stream can tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import pytest
from nats import connect
from nats.js.api import RawStreamMsg

from insula.adapters.nats.destination import NatsDestination
from insula.kernel.errors import ConfigurationError, Unavailable
from insula.messages import Envelope, from_cloudevent
from insula.messaging.destination import Refused
from insula.runtime.local.nats import LocalNats

MESSAGE = Envelope(
    id="1", source="shop", type="OrderPlaced", kind="event", version=1, subject="ann", data=b"{}",
    time=datetime(2030, 1, 1, tzinfo=UTC), correlation_id="1", causation_id=None, traceparent=None, caller="anonymous",
)  # fmt: skip
_numbers = count(1)


@asynccontextmanager
async def stream(server: LocalNats) -> AsyncIterator[str]:
    """A stream of the test's own; its name, which is also its prefix."""
    name = f"application{next(_numbers)}"
    async with await connect(server.url) as client:
        await client.jetstream().add_stream(name=name, subjects=[f"{name}.>"])
    yield name


async def stored(server: LocalNats, name: str) -> list[RawStreamMsg]:
    """What the stream has."""
    async with await connect(server.url) as client:
        context = client.jetstream()
        last = (await context.stream_info(name)).state.last_seq
        return [await context.get_msg(name, sequence) for sequence in range(1, last + 1)]


async def test_a_message_that_is_sent_again_is_stored_once(nats_server: LocalNats) -> None:
    async with stream(nats_server) as name:
        destination = NatsDestination(f"{nats_server.url}/{name}", "shop")
        await destination.open()
        for _ in range(2):
            await destination.send(MESSAGE)
        await destination.close()
        (found,) = await stored(nats_server, name)
    assert (found.subject, from_cloudevent(found.data or b"")) == (f"{name}.OrderPlaced", MESSAGE)


async def test_without_a_stream_it_says_how_to_make_one(nats_server: LocalNats) -> None:
    destination = NatsDestination(nats_server.url, "nobody")
    with pytest.raises(ConfigurationError, match=r"has no stream that takes nobody\.>; make one, such as: nats stream"):
        await destination.open()
    with pytest.raises(Unavailable, match=r"publishing to nobody\.OrderPlaced"):
        await destination.send(MESSAGE)
    await destination.close()


async def test_what_is_too_large_for_the_server_is_refused(nats_server: LocalNats) -> None:
    async with stream(nats_server) as name:
        destination = NatsDestination(nats_server.url, name)
        large = msgspec.structs.replace(MESSAGE, data=b'"' + b"x" * 2_000_000 + b'"')
        with pytest.raises(Refused, match="is larger than the max_payload"):
            await destination.send(large)
        await destination.close()


async def test_a_server_that_comes_back_takes_messages_again(tmp_path: Path) -> None:
    with LocalNats(tmp_path / "nats") as server:
        async with stream(server) as name:
            destination = NatsDestination(server.url, name)
            await destination.open()
            server.kill()
            with pytest.raises(Unavailable):
                await destination.send(MESSAGE)
            server.start()
            await eventually_sent(destination)
            assert len(await stored(server, name)) == 1
            await destination.close()


async def eventually_sent(destination: NatsDestination) -> None:
    """Try until the client has connected again."""
    for _ in range(2000):
        try:
            return await destination.send(MESSAGE)
        except Unavailable:
            await asyncio.sleep(0.005)
    raise AssertionError("it does not connect again")
