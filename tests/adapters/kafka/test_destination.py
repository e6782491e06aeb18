"""Messages of an outbox are published to a topic of the application's own, those of a key in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from insula.adapters.kafka.destination import KafkaDestination
from insula.kernel.errors import ConfigurationError, Unavailable
from insula.messages import Envelope, from_cloudevent
from insula.messaging.destination import Refused
from support.kafka import MockKafka, mock_kafka

MESSAGE = Envelope(
    id="1", source="shop", type="OrderPlaced", kind="event", version=1, subject="ann", data=b"{}",
    time=datetime(2030, 1, 1, tzinfo=UTC), correlation_id="1", causation_id=None, traceparent=None, caller="anonymous",
)  # fmt: skip
PRODUCE, NOT_ENOUGH_REPLICAS, TOPIC_FORBIDDEN = 0, 19, 29


@pytest.fixture
def cluster() -> Iterator[MockKafka]:
    """A cluster that the test may stop."""
    with mock_kafka() as cluster:
        yield cluster


@asynccontextmanager
async def destination(
    cluster: MockKafka, topic: str, *, partitions: int = 1, **options: Any
) -> AsyncIterator[KafkaDestination]:
    """A topic, and what sends to it; twenty seconds for all of it."""
    cluster.make(topic, partitions)
    found = KafkaDestination(f"{cluster.url}/{topic}", "shop", **{"timeout_seconds": 2.0, **options})
    async with asyncio.timeout(20):
        try:
            yield found
        finally:
            await found.close()


def stored(cluster: MockKafka, topic: str, partition: int = 0) -> list[Envelope]:
    """What lies in a partition."""
    return [from_cloudevent(content) for _, content in cluster.stored(topic, partition)]


def numbered(number: int, key: str) -> Envelope:
    return msgspec.structs.replace(MESSAGE, id=f"{key}-{number}", subject=key)


async def eventually_sent(target: KafkaDestination, message: Envelope) -> None:
    """Try until the brokers are back."""
    while True:
        try:
            return await target.send(message)
        except Unavailable:
            await asyncio.sleep(0.005)


async def test_a_message_arrives_as_a_cloudevent(cluster: MockKafka) -> None:
    async with destination(cluster, "orders") as target:
        await target.open()
        await target.send(MESSAGE)
    assert stored(cluster, "orders") == [MESSAGE]


async def test_messages_of_a_key_lie_in_their_order_in_one_partition(cluster: MockKafka) -> None:
    async def send_all(target: KafkaDestination, key: str) -> None:
        for number in range(10):
            await target.send(numbered(number, key))

    async with destination(cluster, "many", partitions=3) as target:
        await asyncio.gather(*(send_all(target, f"key{key}") for key in range(20)))
    lanes = [[message.id for message in stored(cluster, "many", partition)] for partition in range(3)]
    for key in (f"key{number}" for number in range(20)):
        found = [[each for each in lane if each.startswith(f"{key}-")] for lane in lanes]
        assert sorted(found) == [[], [], [f"{key}-{number}" for number in range(10)]]


async def test_without_a_topic_it_says_how_to_make_one(cluster: MockKafka) -> None:
    target = KafkaDestination(cluster.url, "nobody", timeout_seconds=2.0)
    with pytest.raises(ConfigurationError, match="has no topic nobody; make one, such as: kafka-topics --create"):
        await target.open()
    await target.close()


async def test_what_is_too_large_is_refused_and_the_next_one_is_not(cluster: MockKafka) -> None:
    large = msgspec.structs.replace(MESSAGE, id="2", data=b'"' + b"x" * 2_000_000 + b'"')
    async with destination(cluster, "large") as target:
        with pytest.raises(Refused, match="OrderPlaced 2 is larger than kafka://"):
            await target.send(large)
        await target.send(MESSAGE)
    assert stored(cluster, "large") == [MESSAGE]


async def test_brokers_that_come_back_take_messages_again(cluster: MockKafka) -> None:
    async with destination(cluster, "back", timeout_seconds=0.5) as target:
        await eventually_sent(target, numbered(1, "ann"))
        cluster.stop()
        with pytest.raises(Unavailable, match=r"back|cannot be reached"):
            await target.send(numbered(2, "ann"))
        cluster.start()
        for number in (2, 3):
            await eventually_sent(target, numbered(number, "ann"))
    assert list(dict.fromkeys(each.id for each in stored(cluster, "back"))) == ["ann-1", "ann-2", "ann-3"]


async def test_a_message_whose_answer_was_lost_has_the_same_id_when_it_comes_again(cluster: MockKafka) -> None:
    async with destination(cluster, "lost") as target:
        await target.send(numbered(1, "ann"))
        cluster.cut_off_next_answer()
        await eventually_sent(target, numbered(2, "ann"))
        await target.send(numbered(3, "ann"))
    assert list(dict.fromkeys(each.id for each in stored(cluster, "lost"))) == ["ann-1", "ann-2", "ann-3"]


async def test_what_is_forbidden_waits_until_somebody_allows_it(cluster: MockKafka) -> None:
    async with destination(cluster, "forbidden") as target:
        cluster.refuse(PRODUCE, TOPIC_FORBIDDEN)
        with pytest.raises(Unavailable, match=r"publishing to forbidden: .* allow it to this user"):
            await target.send(MESSAGE)
        await eventually_sent(target, MESSAGE)
    assert stored(cluster, "forbidden") == [MESSAGE]


async def test_brokers_that_say_nothing_are_unavailable_in_time(cluster: MockKafka) -> None:
    async with destination(cluster, "silent", timeout_seconds=0.5) as target:
        cluster.refuse(PRODUCE, *[NOT_ENOUGH_REPLICAS] * 200)
        with pytest.raises(Unavailable, match="silent"):
            await target.send(MESSAGE)
        cluster.forgive(PRODUCE)


async def test_nobody_there_is_one_line() -> None:
    target = KafkaDestination("kafka://ann:secret@127.0.0.1:1/orders", "shop", timeout_seconds=1.0)
    assert target.address == "kafka://127.0.0.1:1/orders"
    with pytest.raises(Unavailable, match=r"kafka://127\.0\.0\.1:1 cannot be reached"):
        await target.open()
    await target.close()
