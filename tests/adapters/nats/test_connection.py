"""What a user sees when NATS cannot be used: one line that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats.errors
import pytest

from insula.adapters.nats.connection import NatsConnection
from insula.adapters.nats.transport import NatsTransport
from insula.kernel.errors import ConfigurationError, Unavailable
from insula.runtime.local.nats import LocalNats
from support.neighbourhood import free_port


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[LocalNats]:
    """A server that asks for user and password."""
    with LocalNats(tmp_path / "nats", arguments=("--user", "ann", "--pass", "secret")) as server:
        yield server


async def refusal(url: str) -> str:
    """What connecting there ends with; it is told in one line."""
    transport = NatsTransport(url)
    async with asyncio.timeout(20):
        with pytest.raises((Unavailable, ConfigurationError)) as caught:
            await transport.connect()
    await transport.close()
    assert "\n" not in str(caught.value)
    return f"{caught.type.__name__}: {caught.value}"


async def test_a_wrong_address() -> None:
    told = await refusal(f"nats://127.0.0.1:{free_port()}")
    assert told.startswith("Unavailable: nats://127.0.0.1:")
    assert "is it running, is the address right?" in told


async def test_wrong_credentials_and_no_secret_is_told(guarded: LocalNats) -> None:
    told = await refusal(f"nats://ann:guess@127.0.0.1:{guarded.port}")
    assert told == (
        f"ConfigurationError: nats://127.0.0.1:{guarded.port} refuses the credentials: check user and password, token "
        "or file"
    )


async def test_right_credentials_connect(guarded: LocalNats) -> None:
    transport = NatsTransport(f"nats://ann:secret@127.0.0.1:{guarded.port}")
    await transport.connect()
    assert (await transport.open("source", ["reading"])).stored == 0
    await transport.close()


async def test_a_server_without_jetstream(tmp_path: Path) -> None:
    with LocalNats(tmp_path / "nats", jetstream=False) as server:
        assert "has no JetStream (for this account): start it with --jetstream" in await refusal(server.url)


@asynccontextmanager
async def old_server() -> AsyncIterator[str]:
    """Speaks the protocol just far enough to be connected to."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"old","version":"2.10.4","max_payload":1048576,"proto":1}\r\n')
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_server_that_is_too_old() -> None:
    async with old_server() as url:
        assert "runs nats-server 2.10.4; Insula needs 2.14 or newer" in await refusal(url)


async def test_what_was_not_sent_when_the_connection_broke_is_not_sent_to_the_server_that_comes_back(
    tmp_path: Path,
) -> None:
    """It may be a request for messages whose reader is gone: they would be nobody's for as long as the server waits."""
    with LocalNats(tmp_path / "nats") as server:
        connection, lost = NatsConnection([server.url]), asyncio.Event()
        connection.on_lost.append(lost.set)
        before = await connection.client()
        server.kill()
        await lost.wait()
        server.start()
        async with asyncio.timeout(20):
            after = await connection.client()
        with pytest.raises(nats.errors.ConnectionClosedError):
            await before.publish("anything", b"")
        assert after.is_connected
        await connection.close()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"servers": []}, "servers"),
        ({"partitions": 0}, "partitions"),
        ({"limit_bytes": 0}, "limit_bytes"),
        ({"replicas": 0}, "replicas"),
        ({"acknowledge_seconds": 0}, "acknowledge_seconds"),
        ({"prefix": "a.b"}, "prefix"),
    ],
)
async def test_bad_parameters_are_refused_with_their_name(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"NatsTransport\({named}="):
        NatsTransport(**{"servers": "nats://127.0.0.1:4222", **options})  # type: ignore[arg-type]
