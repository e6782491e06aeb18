"""Kafka as the transport between processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from insula.adapters.kafka.addresses import servers_of
from insula.adapters.kafka.channels import ChannelOptions, Channels, Topic
from insula.adapters.kafka.connection import KafkaConnection
from insula.adapters.kafka.keeping import PlaceKeeper
from insula.adapters.kafka.outlet import SETTINGS, Outlet
from insula.adapters.kafka.subscription import KafkaSubscription
from insula.adapters.kafka.tail import read_tail
from insula.kernel.errors import ConfigurationError, Unavailable
from insula.messages import Envelope
from insula.messaging.transport import PARTITIONS, SHARES, Begin, Channel, partitions_of

RETENTION = timedelta(days=30)
TIMEOUT_SECONDS = 10.0
_LOOK_SECONDS = 3.0
_OURS = (*SETTINGS, "bootstrap.servers", "group.id", "enable.auto.commit", "enable.auto.offset.store", "error_cb")
_ALLOWED_IN_NAMES = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class KafkaTransport:
    """One process's access to Kafka. Implements `Transport`.

    Parameters: `servers`, an address such as "kafka://127.0.0.1:9092" or several, with user and password or without;
    `prefix` of all topics and consumer groups (default "insula"); `partitions` of each topic (default 16); `shares`
    of each receiver's reading, so many of its processes can take part (default 4); `replicas` of each topic that is
    made (default: the brokers' own); `retention`, how long a topic that is made keeps a message, read or not (default
    30 days, None for ever): longer than any receiver may be away; `timeout_seconds`, after which a broker that says
    nothing is `Unavailable` (default 10); `settings` of librdkafka beside ours, such as
    {"security.protocol": "SASL_SSL"}. Raises ConfigurationError.

    What holds: a message that `publish` has returned for is stored by every broker that is in step; a partition has
    its messages in their order; what was not acknowledged comes again. What does not: Kafka knows no message again by
    its id. What was stored lately is not stored again because the end of the topic is read before anything is sent; a
    request that arrives even after that is stored twice. It keeps messages by their age, not until they are read.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        prefix: str = "insula",
        partitions: int = PARTITIONS,
        shares: int = SHARES,
        replicas: int | None = None,
        retention: timedelta | None = RETENTION,
        timeout_seconds: float = TIMEOUT_SECONDS,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value in (("partitions", partitions), ("shares", shares), ("replicas", replicas)):
            if value is not None and value < 1:
                raise ConfigurationError(f"KafkaTransport({name}={value}): give 1 or more")
        if retention is not None and retention <= timedelta(0):
            raise ConfigurationError(f"KafkaTransport(retention={retention!r}): give more than 0, or None for ever")
        if timeout_seconds <= 0:
            raise ConfigurationError(f"KafkaTransport(timeout_seconds={timeout_seconds}): give more than 0")
        if not prefix or not set(prefix) <= _ALLOWED_IN_NAMES:
            raise ConfigurationError(f"KafkaTransport(prefix={prefix!r}): give a word of letters, digits, _ and -")
        settings = settings or {}
        ours = next((name for name in _OURS if name in settings), None)
        if ours is not None:
            raise ConfigurationError(f"KafkaTransport(settings=...): {ours} is set by Insula; leave it out")
        self._shares = min(shares, partitions)
        self._options = ChannelOptions(prefix, partitions, replicas, retention)
        self._connection = KafkaConnection(servers_of(servers), settings, timeout_seconds)
        self._channels = Channels(self._connection, self._options)
        self._keeper = PlaceKeeper(self._channels)
        self._outlets: dict[str, Outlet] = {}
        self._looked_at: dict[str, float] = {}
        self._subscriptions: set[KafkaSubscription] = set()

    @property
    def partitions(self) -> int:
        """How many partitions each channel has."""
        return self._options.partitions

    @property
    def shares(self) -> int:
        """How many shares each receiver's reading has."""
        return self._shares

    async def connect(self) -> None:
        """See that the cluster can be used; everything else connects by itself.

        Raises `Unavailable`, and ConfigurationError for wrong credentials and settings.
        """
        with self._connection.told("connecting"):
            await self._channels.look()

    async def open(self, source: str, receivers: Collection[str]) -> Channel:
        """Make the topic of a source, keep a place for each receiver, and read what the topic has."""
        with self._connection.told(f"opening the topic {self._options.topic(source)}"):
            topic = await self._channels.ensure(source)
            await self._channels.keep(topic, receivers)
            self._keeper.watch(topic, receivers)
            return Channel(f"{topic.name} {topic.id}", await self._reached(source, topic))

    async def _reached(self, source: str, topic: Topic) -> int:
        tail = await read_tail(self._connection, self._channels, topic)
        self._looked_at[source] = asyncio.get_running_loop().time()
        return self._outlets.setdefault(source, Outlet(self._connection, topic.name)).reached(topic, tail)

    async def publish(self, source: str, envelopes: Sequence[Envelope]) -> int:
        """Store messages in their order."""
        name = self._options.topic(source)
        with self._connection.told(f"publishing to the topic {name}"):
            outlet = self._outlets.get(source)
            if outlet is None or outlet.topic is None:
                topic = await self._channels.find(source)
                if topic is None:
                    raise Unavailable(f"{self._connection.address} has no topic {name}")
                await self._reached(source, topic)
            else:
                await self._look_after(source, outlet, outlet.topic)
            return await self._outlets[source].publish(envelopes)

    async def _look_after(self, source: str, outlet: Outlet, topic: Topic) -> None:
        """Notice a topic that was made anew before anything is sent to it: the first of the log have to come first."""
        now = asyncio.get_running_loop().time()
        if now < self._looked_at[source] + _LOOK_SECONDS:
            return
        if not await self._channels.is_current(topic):
            outlet.forget()
            raise Unavailable(f"{self._connection.address}: the topic {topic.name} was deleted")
        self._looked_at[source] = now

    async def subscribe(
        self, source: str, receiver: str, share: int, *, arrived: Callable[[], None], window: int, begin: Begin = "now"
    ) -> KafkaSubscription:
        """Read a share of a topic from what is remembered of the receiver."""
        with self._connection.told(f"subscribing {receiver} to the topic {self._options.topic(source)}"):
            topic = await self._channels.ensure(source)
            starts = await self._channels.begin(
                topic, receiver, begin, partitions_of(share, self.partitions, self._shares)
            )
        self._keeper.watch(topic, [receiver])
        subscription = KafkaSubscription(
            self._connection, self._channels, topic, receiver, starts, arrived, window
        )  # fmt: skip
        self._subscriptions = {each for each in self._subscriptions if each.is_open}
        self._subscriptions.add(subscription)
        subscription.open()
        return subscription

    async def close(self) -> None:
        """Let go of the brokers, and end every subscription."""
        await self._keeper.close()
        subscriptions, self._subscriptions = self._subscriptions, set()
        if subscriptions:
            await asyncio.gather(*[each.close() for each in subscriptions])
        outlets, self._outlets = self._outlets, {}
        for outlet in outlets.values():
            outlet.forget()
        await self._connection.close()
