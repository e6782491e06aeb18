"""Messages of an outbox are published to a topic of the application's own, in order per key, also through outages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from insula.adapters.kafka.destination import KafkaDestination
from insula.kernel.errors import ConfigurationError, Unavailable
from insula.messages import Envelope, from_cloudevent
from insula.messaging.destination import Refused
from insula.runtime.outbox_relay import destination_of
from support.kafka import MockKafka, mock_kafka
from support.neighbourhood import free_port

MESSAGE = Envelope(
    id="1", source="shop", type="OrderPlaced", kind="event", version=1, subject="ann", data=b"{}",
    time=datetime(2030, 1, 1, tzinfo=UTC), correlation_id="1", causation_id=None, traceparent=None, caller="anonymous",
)  # fmt: skip
PARTITIONS = 4
PRODUCE, MESSAGE_TOO_LARGE, TOPIC_FORBIDDEN = 0, 10, 29


def numbered(key: str, number: int) -> Envelope:
    """A message of a key."""
    return msgspec.structs.replace(MESSAGE, id=f"{key} {number}", subject=key)


def stored(cluster: MockKafka, topic: str) -> list[list[Envelope]]:
    """What each partition has."""
    return [[from_cloudevent(data) for _, data in cluster.stored(topic, partition)] for partition in range(PARTITIONS)]


async def test_messages_of_a_key_lie_in_one_partition_in_their_order() -> None:
    with mock_kafka() as cluster:
        cluster.make("application", PARTITIONS)
        destination = KafkaDestination(f"{cluster.url}/application", "shop")
        await destination.open()
        for number in range(5):
            await asyncio.gather(*[destination.send(numbered(key, number)) for key in "abcdef"])
        await destination.close()
        partitions = await asyncio.to_thread(stored, cluster, "application")
    for key in "abcdef":
        lying = [[each for each in partition if each.subject == key] for partition in partitions]
        assert [each for each in lying if each] == [[numbered(key, number) for number in range(5)]]


async def test_the_topic_is_the_source_unless_the_address_names_one() -> None:
    destination = destination_of("kafka://ann:secret@10.0.0.1,10.0.0.2:9093", "shop", lambda _: None)
    assert destination.address == "kafka://10.0.0.1:9092, kafka://10.0.0.2:9093/shop"


@pytest.mark.parametrize("address", ["kafka:///topic", "kafka://ann:secret@host:none/topic", "kafka://host/one/two"])
def test_a_wrong_address_is_told_in_one_line_without_its_password(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^relay\.to: kafka://.*write.* kafka://host:9092/topic$") as caught:
        KafkaDestination(address, "shop")
    assert "secret" not in str(caught.value)


async def test_without_a_topic_it_says_how_to_make_one(kafka_cluster: MockKafka) -> None:
    destination = KafkaDestination(kafka_cluster.url, "nobody")
    with pytest.raises(ConfigurationError, match=r"has no topic nobody; make one, such as: kafka-topics\.sh"):
        await destination.open()
    await destination.close()


async def test_brokers_that_are_not_there_are_unavailable() -> None:
    destination = KafkaDestination(f"kafka://127.0.0.1:{free_port()}", "shop", timeout_seconds=0.5)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await destination.open()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await destination.send(MESSAGE)
    await destination.close()


async def test_what_is_too_large_is_refused_and_others_are_taken() -> None:
    with mock_kafka() as cluster:
        cluster.make("shop", PARTITIONS)
        destination = KafkaDestination(cluster.url, "shop")
        large = msgspec.structs.replace(MESSAGE, data=b'"' + b"x" * 2_000_000 + b'"')
        with pytest.raises(Refused, match=r"of 2000.* bytes is not taken by kafka://"):
            await destination.send(large)
        cluster.refuse(PRODUCE, MESSAGE_TOO_LARGE)
        with pytest.raises(Refused, match=r"OrderPlaced 1 of .* is not taken"):
            await destination.send(MESSAGE)
        await destination.send(MESSAGE)
        await destination.close()
        assert sum(map(len, await asyncio.to_thread(stored, cluster, "shop"))) == 1


async def test_while_publishing_is_forbidden_everything_waits() -> None:
    with mock_kafka() as cluster:
        cluster.make("shop", PARTITIONS)
        destination = KafkaDestination(cluster.url, "shop")
        cluster.refuse(PRODUCE, TOPIC_FORBIDDEN)
        with pytest.raises(Unavailable, match=r"publishing to the topic shop: .*: allow it to this user"):
            await destination.send(MESSAGE)
        await destination.close()


async def test_an_answer_that_is_lost_loses_no_message_and_turns_none_round() -> None:
    with mock_kafka() as cluster:
        cluster.make("shop", PARTITIONS)
        destination = KafkaDestination(cluster.url, "shop")
        await destination.send(numbered("ann", 0))
        cluster.cut_off_next_answer()
        for number in (1, 2):
            await destination.send(numbered("ann", number))
        await destination.close()
        (partition,) = filter(None, await asyncio.to_thread(stored, cluster, "shop"))
    # Brokers know by its sequence number what comes again; the mock cluster does not.
    assert list(dict.fromkeys(each.id for each in partition)) == ["ann 0", "ann 1", "ann 2"]


async def test_brokers_cut_off_in_the_middle_lose_nothing_and_keep_the_order_of_keys() -> None:
    with mock_kafka() as cluster:
        cluster.make("shop", PARTITIONS)
        destination = KafkaDestination(cluster.url, "shop", timeout_seconds=0.5)
        sending = [asyncio.create_task(eventually_sent(destination, key, 40)) for key in "abc"]
        for _ in range(3):
            await asyncio.sleep(0.005)
            cluster.stop()
            with pytest.raises(Unavailable):
                await destination.send(numbered("probe", 0))
            cluster.start()
        await asyncio.gather(*sending)
        await destination.close()
        partitions = await asyncio.to_thread(stored, cluster, "shop")
    arrived_first = list(dict.fromkeys(each.id for partition in partitions for each in partition))
    for key in "abc":
        assert [each for each in arrived_first if each[0] == key] == [f"{key} {number}" for number in range(40)]


async def eventually_sent(destination: KafkaDestination, key: str, count: int) -> None:
    """One after the other, each as often as it takes, as the forwarder does."""
    for number in range(count):
        for _ in range(2000):
            await asyncio.sleep(0.002)
            if await is_sent(destination, numbered(key, number)):
                break
        else:
            raise AssertionError("it is never taken")


async def is_sent(destination: KafkaDestination, message: Envelope) -> bool:
    """Whether it was taken."""
    try:
        await destination.send(message)
    except Unavailable:
        return False
    return True
