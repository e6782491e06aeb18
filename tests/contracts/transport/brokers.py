"""What the kit needs of each broker beside the port: to stop and start it, and to damage what it has stored."""

from __future__ import annotations

from itertools import count
from typing import Protocol

from nats import connect

from insula.adapters.kafka.transport import KafkaTransport
from insula.adapters.memory.transport import MemoryBroker, MemoryTransport
from insula.adapters.nats.transport import NatsTransport
from insula.messages import from_cloudevent
from insula.messaging.transport import Transport
from insula.runtime.local.nats import LocalNats
from support.kafka import MockKafka

_numbers = count()
QUICK_KAFKA = {"fetch.wait.max.ms": 10}
"""The mock cluster answers who waits for messages only when that time is over."""


class Broker(Protocol):
    """A broker of its own for each test, as far as the test can see."""

    def transport(self) -> Transport:
        """The access of one more process."""
        ...

    def stop(self) -> None: ...
    def start(self) -> None: ...

    async def lose(self, source: str, message_id: str) -> None:
        """Take one stored message away."""
        ...

    async def forget(self, source: str) -> None:
        """Take a whole channel away."""
        ...


class MemoryInTest:
    """The broker in memory."""

    def __init__(self, partitions: int, shares: int = 1) -> None:
        self._broker = MemoryBroker(partitions, shares)

    def transport(self) -> Transport:
        return MemoryTransport(self._broker)

    def stop(self) -> None:
        self._broker.stop()

    def start(self) -> None:
        self._broker.start()

    async def lose(self, source: str, message_id: str) -> None:
        self._broker.lose(source, message_id)

    async def forget(self, source: str) -> None:
        self._broker.forget(source)


class NatsInTest:
    """NATS JetStream: a prefix of its own on a server that may be shared."""

    def __init__(self, server: LocalNats, partitions: int, shares: int = 1) -> None:
        self._server = server
        self._partitions = partitions
        self._shares = shares
        self._prefix = f"test{next(_numbers)}"

    def transport(self) -> Transport:
        return NatsTransport(
            self._server.url, prefix=self._prefix, partitions=self._partitions, shares=self._shares
        )  # fmt: skip

    def stop(self) -> None:
        self._server.kill()

    def start(self) -> None:
        self._server.start()

    async def lose(self, source: str, message_id: str) -> None:
        async with await connect(self._server.url) as client:
            context, stream = client.jetstream(), f"{self._prefix}-{source}"
            state = (await context.stream_info(stream)).state
            for sequence in range(state.first_seq, state.last_seq + 1):
                found = await context.get_msg(stream, sequence)
                if (found.headers or {}).get("Nats-Msg-Id") == message_id:
                    await context.delete_msg(stream, sequence)

    async def forget(self, source: str) -> None:
        async with await connect(self._server.url) as client:
            await client.jetstream().delete_stream(f"{self._prefix}-{source}")


class KafkaInTest:
    """Kafka: a prefix of its own on a mock cluster that may be shared."""

    def __init__(self, cluster: MockKafka, partitions: int, shares: int = 1) -> None:
        self._cluster = cluster
        self._partitions = partitions
        self._shares = shares
        self._prefix = f"test{next(_numbers)}"

    def transport(self) -> Transport:
        return KafkaTransport(
            self._cluster.url, prefix=self._prefix, partitions=self._partitions, shares=self._shares,
            timeout_seconds=3, settings=QUICK_KAFKA,
        )  # fmt: skip

    def stop(self) -> None:
        self._cluster.stop()

    def start(self) -> None:
        self._cluster.start()

    async def lose(self, source: str, message_id: str) -> None:
        """Kafka loses no single message, only what is too old: that one, and all before it."""
        topic = f"{self._prefix}-{source}"
        for partition in range(self._partitions):
            for offset, content in self._cluster.stored(topic, partition):
                if from_cloudevent(content).id == message_id:
                    self._cluster.expire(topic, partition, offset + 1)

    async def forget(self, source: str) -> None:
        self._cluster.delete(f"{self._prefix}-{source}")
