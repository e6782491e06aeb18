"""NATS JetStream as the transport between processes."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from nats.js import JetStreamContext
from nats.js.api import StreamInfo

from insula.adapters.nats.channels import ChannelOptions, ensure_consumer, ensure_stream
from insula.adapters.nats.connection import NatsConnection
from insula.adapters.nats.outlet import Outlet
from insula.adapters.nats.subscription import NatsSubscription
from insula.kernel.errors import ConfigurationError
from insula.messages import Envelope
from insula.messaging.transport import PARTITIONS, SHARES, Begin, Channel

LIMIT_BYTES = 256 * 1024 * 1024
ACKNOWLEDGE_SECONDS = 30.0


class NatsTransport:
    """One process's access to NATS JetStream. Implements `Transport`.

    Parameters: `servers`, an address such as "nats://127.0.0.1:4222" or several; `token`, `credentials` (a `.creds`
    file) and `tls`, as the servers ask for them, user and password stand in the address; `prefix` of all streams and
    subjects (default "insula"); `partitions` of each stream (default 16); `shares` of each receiver's reading, so
    many of its processes can take part (default 4); `limit_bytes`, how much a stream holds before
    its publisher has to wait (default 256 MiB); `replicas` of each stream in a cluster (default 1);
    `acknowledge_seconds`, after which the server takes a receiver for dead that has not said that it still works, which
    it does by itself (default 30).
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        token: str | None = None,
        credentials: Path | None = None,
        tls: ssl.SSLContext | None = None,
        prefix: str = "insula",
        partitions: int = PARTITIONS,
        shares: int = SHARES,
        limit_bytes: int = LIMIT_BYTES,
        replicas: int = 1,
        acknowledge_seconds: float = ACKNOWLEDGE_SECONDS,
    ) -> None:
        addresses = [servers] if isinstance(servers, str) else list(servers)
        if not addresses:
            raise ConfigurationError("NatsTransport(servers=[]): give an address, such as nats://127.0.0.1:4222")
        counts = {"partitions": partitions, "shares": shares, "limit_bytes": limit_bytes, "replicas": replicas}
        for name, value in counts.items():
            if value < 1:
                raise ConfigurationError(f"NatsTransport({name}={value}): give 1 or more")
        if acknowledge_seconds <= 0:
            raise ConfigurationError(f"NatsTransport(acknowledge_seconds={acknowledge_seconds}): give more than 0")
        if not prefix or set(prefix) & set(" .*>/\\"):
            raise ConfigurationError(f"NatsTransport(prefix={prefix!r}): give a word without spaces and . * > / \\")
        self._options = ChannelOptions(
            prefix, partitions, min(shares, partitions), limit_bytes, replicas, acknowledge_seconds
        )
        self._connection = NatsConnection(addresses, token=token, credentials=credentials, tls=tls)
        self._outlet = Outlet(self._connection, self._options)

    @property
    def partitions(self) -> int:
        """How many partitions each channel has."""
        return self._options.partitions

    @property
    def shares(self) -> int:
        """How many shares each receiver's reading has."""
        return self._options.shares

    async def connect(self) -> None:
        """See that the servers can be used; everything else connects by itself.

        Raises `Unavailable`, and ConfigurationError for wrong credentials, no JetStream, and a version too old.
        """
        await self._connection.client()

    async def open(self, source: str, receivers: Collection[str]) -> Channel:
        """Make the stream of a source, and the consumers of each receiver."""
        context = await self._connection.jetstream()
        opening = self._opened(context, source, receivers)
        found = await self._connection.ask(opening, f"opening the stream {self._options.stream(source)}")
        stored = found.state.last_seq
        self._outlet.reached(source, stored)
        created = "" if found.created is None else f" of {found.created.isoformat()}"
        return Channel(f"{self._options.stream(source)}{created}", stored)

    async def _opened(self, context: JetStreamContext, source: str, receivers: Collection[str]) -> StreamInfo:
        found = await ensure_stream(context, self._options, source)
        for receiver in sorted(receivers):
            for share in range(self._options.shares):
                await ensure_consumer(context, self._options, source, receiver, share, begin="now")
        return found

    async def publish(self, source: str, envelopes: Sequence[Envelope]) -> int:
        """Store messages in their order."""
        return await self._outlet.publish(source, envelopes)

    async def subscribe(
        self, source: str, receiver: str, share: int, *, arrived: Callable[[], None], window: int, begin: Begin = "now"
    ) -> NatsSubscription:
        """Read a share of a stream.

        The consumer is reset, so that what was not acknowledged comes again first, in its order.
        """
        client = await self._connection.client()
        context = await self._connection.jetstream()
        stream, consumer = self._options.stream(source), self._options.consumer(receiver, share)

        async def left() -> int:
            found = await self._connection.ask(context.consumer_info(stream, consumer), f"looking at {consumer}")
            return (found.num_pending or 0) + (found.num_ack_pending or 0)

        subscription = NatsSubscription(
            self._connection, client, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", arrived, window,
            self._options.acknowledge_seconds, left,
        )  # fmt: skip

        async def begin_reading() -> None:
            await ensure_stream(context, self._options, source)
            await ensure_consumer(context, self._options, source, receiver, share, begin=begin, window=window)
            await context.reset_consumer(stream, consumer)
            await subscription.open()

        try:
            await self._connection.ask(begin_reading(), f"subscribing {consumer} to the stream {stream}")
        except BaseException:
            await subscription.close()
            raise
        return subscription

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()
