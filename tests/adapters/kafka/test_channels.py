"""Topics as they must be, and where a receiver stands in them."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from adapters.kafka.connecting import connected
from contracts.transport.reading import message, positions, reading
from insula.adapters.kafka.transport import KafkaTransport
from insula.kernel.errors import ConfigurationError, Failure, Unavailable
from insula.messaging.transport import Delivery
from support.kafka import MockKafka
from support.kafka_front import NewTopic

INVALID_REPLICATION_FACTOR = 38


def committed(cluster: MockKafka, topic: str, group: str) -> tuple[int, str]:
    """What Kafka remembers of a group in the first partition: offset and note."""
    settings = {"bootstrap.servers": cluster.bootstrap, "group.id": group, "log_level": 2}
    consumer = Consumer(settings)
    (found,) = consumer.committed([TopicPartition(topic, 0)], 5)
    consumer.close()
    return found.offset, found.metadata or ""


def commit(cluster: MockKafka, group: str, place: TopicPartition) -> None:
    """Set a group somewhere, as the tools of Kafka do."""
    settings = {"bootstrap.servers": cluster.bootstrap, "group.id": group, "log_level": 2}
    consumer = Consumer(settings)
    consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()


async def test_a_topic_keeps_messages_by_their_age_and_is_never_compacted(kafka_cluster: MockKafka) -> None:
    for prefix, retention in (("month", timedelta(days=30)), ("ever", None)):
        async with connected(kafka_cluster, prefix, partitions=3, replicas=2, retention=retention) as transport:
            await transport.open("source", [])
    asked = [each for each in kafka_cluster.made if each.name in ("month-source", "ever-source")]
    month = {"cleanup.policy": "delete", "retention.ms": "2592000000", "retention.bytes": "-1"}
    assert asked == [
        NewTopic("month-source", 3, 2, month),
        NewTopic("ever-source", 3, 2, month | {"retention.ms": "-1"}),
    ]


async def test_the_brokers_choose_how_many_replicas_there_are_unless_they_are_told(kafka_cluster: MockKafka) -> None:
    async with connected(kafka_cluster, "replicas") as transport:
        await transport.open("source", [])
    assert [each.replicas for each in kafka_cluster.made if each.name == "replicas-source"] == [-1]


async def test_another_number_of_partitions_is_refused(kafka_cluster: MockKafka) -> None:
    async with connected(kafka_cluster, "sixteen", partitions=16) as transport:
        await transport.open("source", [])
    async with connected(kafka_cluster, "sixteen", partitions=8) as transport:
        with pytest.raises(ConfigurationError, match="sixteen-source has 16 partitions, not 8"):
            await transport.open("source", [])


async def test_more_replicas_than_there_are_brokers_is_told(kafka_cluster: MockKafka) -> None:
    async with connected(kafka_cluster, "many", replicas=9) as transport:
        kafka_cluster.refusals["many-source"] = INVALID_REPLICATION_FACTOR
        with pytest.raises(ConfigurationError, match="the topic many-source cannot be made: "):
            await transport.open("source", [])


async def test_a_topic_that_is_compacted_is_refused(kafka_cluster: MockKafka) -> None:
    async with connected(kafka_cluster, "compacted") as transport:
        await transport.open("source", [])
        kafka_cluster.configured["compacted-source"] = {"cleanup.policy": "compact,delete"}
        with pytest.raises(
            ConfigurationError, match=r"compacted-source is compacted, .* set its cleanup.policy to delete"
        ):
            await transport.open("source", [])


async def test_a_topic_that_somebody_else_makes_at_the_same_time_is_taken(
    kafka_cluster: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(kafka_cluster, "race") as transport:
        find, found = transport._channels.find, list[object]()

        async def find_late(source: str) -> object:
            found.append(await find(source))
            if len(found) == 1:
                kafka_cluster.make("race-source", 1)
            return found[-1]

        monkeypatch.setattr(transport._channels, "find", find_late)
        assert (await transport.open("source", [])).stored == 0
    assert found[0] is None


async def test_only_what_was_acknowledged_without_a_gap_is_committed(kafka_cluster: MockKafka) -> None:
    look = partial(committed, kafka_cluster, "commits-source", "commits-reading")
    async with connected(kafka_cluster, "commits") as transport, reading(transport) as reader:
        identity = (await transport.open("source", [])).identity
        await transport.publish("source", [message(number) for number in range(1, 6)])
        arrived = await reader.next(5)
        assert look()[0] == 0
        reached = []
        for number in (2, 1, 3, 5, 4):
            await reader.acknowledge([arrived[number - 1]])
            reached.append(look()[0])
    assert reached == [0, 2, 3, 3, 5]
    assert f"commits-source {look()[1]}" == identity


async def test_what_another_subscription_was_given_is_not_acknowledged_by_this_one(kafka_cluster: MockKafka) -> None:
    async with connected(kafka_cluster, "receipts") as transport:
        async with reading(transport) as before:
            await transport.publish("source", [message(1), message(2)])
            old: list[Delivery] = await before.next(2)
        async with reading(transport) as reader:
            await reader.next(2)
            await reader.acknowledge(old)
            assert committed(kafka_cluster, "receipts-source", "receipts-reading")[0] == 0


async def test_a_second_subscription_of_a_receiver_takes_nothing_away_and_loses_nothing(
    kafka_cluster: MockKafka,
) -> None:
    async with (
        connected(kafka_cluster, "twice") as here,
        connected(kafka_cluster, "twice") as there,
        reading(here) as one,
    ):
        await here.publish("source", [message(1), message(2)])
        first = await one.next(2)
        await one.acknowledge(first[:1])
        async with reading(there) as two:
            assert positions(await two.next(1)) == [2]
            await here.publish("source", [message(3)])
            assert positions(await one.next(1)) == positions(await two.next(1)) == [3]
        await one.acknowledge(first[1:])
        async with reading(there) as again:
            assert positions(await again.next(1)) == [3]


async def test_of_a_topic_that_was_made_anew_a_receiver_reads_all_wherever_it_stood_before(
    kafka_cluster: MockKafka,
) -> None:
    async with connected(kafka_cluster, "anew") as transport:
        await transport.open("source", [])
        await transport.publish("source", [message(1), message(2), message(3)])
        commit(kafka_cluster, "anew-reading", TopicPartition("anew-source", 0, 2, "the id of the one before"))
        async with reading(transport) as reader:
            assert positions(await reader.next(3)) == [1, 2, 3]


async def test_of_a_topic_that_has_lost_its_end_a_receiver_that_stood_there_reads_all_that_is_kept(
    kafka_cluster: MockKafka,
) -> None:
    async with connected(kafka_cluster, "lost") as transport:
        await transport.open("source", ["reading"])
        await transport.publish("source", [message(1), message(2)])
        commit(kafka_cluster, "lost-reading", TopicPartition("lost-source", 0, 3))
        async with reading(transport) as reader:
            assert positions(await reader.next(2)) == [1, 2]


async def test_where_a_person_has_set_a_receiver_there_it_goes_on(kafka_cluster: MockKafka) -> None:
    async with connected(kafka_cluster, "set") as transport:
        await transport.open("source", ["reading"])
        await transport.publish("source", [message(1), message(2), message(3)])
        commit(kafka_cluster, "set-reading", TopicPartition("set-source", 0, 2))
        async with reading(transport) as reader:
            assert positions(await reader.next(1)) == [3]


async def test_whoever_reads_a_topic_that_is_deleted_is_told(
    kafka_cluster: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insula.adapters.kafka.subscription._LOOK_SECONDS", 0.05)
    async with connected(kafka_cluster, "deleted") as transport, reading(transport) as reader:
        kafka_cluster.delete("deleted-source")
        with pytest.raises(Unavailable, match="deleted-source: it was made anew, or"):
            await reader.next(1)


async def test_what_was_too_old_to_be_kept_is_left_out(kafka_cluster: MockKafka) -> None:
    async with connected(kafka_cluster, "old") as transport:
        await transport.open("source", ["reading"])
        for begin in (1, 3):
            await transport.publish("source", [message(begin), message(begin + 1)])
        kafka_cluster.expire("old-source", 0, 2)
        async with reading(transport) as reader:
            assert positions(await reader.next(2)) == [3, 4]
        assert (await transport.open("source", ["reading"])).stored == 4


async def test_what_is_no_message_of_ours_is_passed_over_and_told(
    kafka_cluster: MockKafka, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with connected(kafka_cluster, "foreign") as transport, reading(transport) as reader:
        producer = Producer({"bootstrap.servers": kafka_cluster.bootstrap, "log_level": 2})
        producer.produce("foreign-source", b"hello", partition=0)
        producer.flush()
        await transport.publish("source", [message(1)])
        came = await reader.next(1)
        assert positions(came) == [1]
        await reader.acknowledge(came)
    assert "foreign-source: offset 0 of partition 0 holds what is no message of Insula" in caplog.text
    assert committed(kafka_cluster, "foreign-source", "foreign-reading")[0] == 2


async def test_a_message_that_is_too_large_is_told_with_its_size_and_nothing_stands_behind_it(
    kafka_cluster: MockKafka,
) -> None:
    async with connected(kafka_cluster, "large") as transport:
        await transport.open("source", [])
        large = msgspec.structs.replace(message(2), data=b'"' + b"x" * 1_100_000 + b'"')
        with pytest.raises(
            Failure, match=r"source: Said message-2 has 1100\d\d\d bytes, .* raise its max.message.bytes"
        ):
            await transport.publish("source", [message(1), large, message(3)])
        assert (await transport.open("source", [])).stored <= 1
        assert await transport.publish("source", [message(1), message(3)]) == 2
    assert len(kafka_cluster.stored("large-source", 0)) == 2


async def test_a_transport_that_was_closed_connects_again_when_it_is_used(kafka_cluster: MockKafka) -> None:
    async with connected(kafka_cluster, "closed") as transport:
        await transport.open("source", [])
        assert await transport.publish("source", [message(1)]) == 1
        await transport.close()
        assert await transport.publish("source", [message(1), message(2)]) == 2


async def test_no_two_prefixes_meet(kafka_cluster: MockKafka) -> None:
    async with connected(kafka_cluster, "left") as left, connected(kafka_cluster, "right") as right:
        transports: tuple[KafkaTransport, ...] = (left, right)
        for transport in transports:
            await transport.open("source", ["reading"])
        await left.publish("source", [message(1)])
        assert (await right.open("source", ["reading"])).stored == 0
