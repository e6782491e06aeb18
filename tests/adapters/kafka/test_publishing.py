"""Order per key, nothing lost and nothing stored twice: through cut off answers, brokers that stop, and restarts."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.kafka.connecting import connected
from contracts.transport.modules import CLOCK, append, opened
from contracts.transport.reading import message, positions, reading
from insula.adapters.kafka.transport import KafkaTransport
from insula.kernel.errors import ConfigurationError, Unavailable
from insula.messages import from_cloudevent
from insula.messaging.publishing import Publisher
from support.kafka import MockKafka, mock_kafka

PRODUCE = 0
NOT_ENOUGH_REPLICAS, TOPIC_FORBIDDEN = 19, 29
PARTITIONS = 3


@pytest.fixture
def cluster() -> Iterator[MockKafka]:
    """A cluster that the test may stop."""
    with mock_kafka() as cluster:
        yield cluster


def stored(cluster: MockKafka, topic: str, partition: int = 0) -> list[int]:
    """The positions that lie in a partition."""
    return [from_cloudevent(content).position for _, content in cluster.stored(topic, partition)]


async def published(transport: KafkaTransport, begin: int, end: int) -> int:
    """Publish a part of a log, as often as it takes."""
    while True:
        try:
            await transport.open("source", [])
            return await transport.publish("source", [message(number) for number in range(begin, end + 1)])
        except Unavailable:
            await asyncio.sleep(0)


async def test_what_was_stored_without_that_anybody_heard_of_it_is_not_stored_again(cluster: MockKafka) -> None:
    async with connected(cluster, "cut") as transport:
        await published(transport, 1, 2)
        cluster.cut_off_next_answer()
        assert await published(transport, 2, 5) == 5
    assert stored(cluster, "cut-source") == [1, 2, 3, 4, 5]


async def test_not_even_by_another_process_that_goes_on_from_an_older_position(cluster: MockKafka) -> None:
    async with connected(cluster, "died") as transport:
        await transport.open("source", [])
        cluster.cut_off_next_answer()
        with pytest.raises(Unavailable):
            await transport.publish("source", [message(1), message(2)])
    async with connected(cluster, "died") as again:
        assert (await again.open("source", [])).stored == 2
        assert await again.publish("source", [message(number) for number in range(1, 4)]) == 3
    assert stored(cluster, "died-source") == [1, 2, 3]


async def test_replicas_that_fall_behind_delay_what_is_published_and_turn_nothing_round(cluster: MockKafka) -> None:
    async with connected(cluster, "behind") as transport:
        await transport.open("source", [])
        cluster.refuse(PRODUCE, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS)
        assert await transport.publish("source", [message(number) for number in range(1, 9)]) == 8
    assert stored(cluster, "behind-source") == list(range(1, 9))


async def test_who_may_not_publish_is_told_and_nothing_was_stored(cluster: MockKafka) -> None:
    async with connected(cluster, "forbidden") as transport:
        await transport.open("source", [])
        cluster.refuse(PRODUCE, TOPIC_FORBIDDEN)
        with pytest.raises(ConfigurationError, match=r"publishing to the topic forbidden-source: .* allow it to this"):
            await transport.publish("source", [message(1)])
        assert await published(transport, 1, 1) == 1
    assert stored(cluster, "forbidden-source") == [1]


async def test_brokers_that_say_nothing_are_given_up_in_time_and_what_follows_waits(cluster: MockKafka) -> None:
    async with connected(cluster, "silent", timeout_seconds=0.7) as transport:
        await published(transport, 1, 1)
        cluster.refuse(PRODUCE, *[NOT_ENOUGH_REPLICAS] * 100)
        with pytest.raises(Unavailable, match="no answer to what was published"):
            await transport.publish("source", [message(2)])
        cluster.forgive(PRODUCE)
        assert await published(transport, 2, 3) == 3
    assert stored(cluster, "silent-source") == [1, 2, 3]


async def test_a_publisher_that_is_stopped_in_the_middle_sends_nothing_more(cluster: MockKafka) -> None:
    async with connected(cluster, "stopped") as transport:
        await published(transport, 1, 1)
        cluster.refuse(PRODUCE, *[NOT_ENOUGH_REPLICAS] * 100)
        publishing = asyncio.create_task(transport.publish("source", [message(2), message(3)]))
        await asyncio.wait([publishing], timeout=0.2)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        cluster.forgive(PRODUCE)
        assert await published(transport, 2, 2) == 2
    assert stored(cluster, "stopped-source") == [1, 2]


async def test_two_that_publish_at_once_notice_each_other(cluster: MockKafka) -> None:
    async with connected(cluster, "both") as one, connected(cluster, "both") as other:
        for transport in (one, other):
            await transport.open("source", [])
        assert await one.publish("source", [message(1)]) == 1
        with pytest.raises(Unavailable, match="another process publishes to it"):
            await other.publish("source", [message(1), message(2)])
        assert await published(other, 2, 3) == 3
        async with reading(other, begin="first") as reader:
            came = list(dict.fromkeys(positions(await reader.next(4))))
    assert came == [1, 2, 3]


async def test_nothing_goes_to_a_topic_that_was_made_anew_behind_the_back_of_its_source(
    cluster: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insula.adapters.kafka.transport._LOOK_SECONDS", 0)
    async with connected(cluster, "anew") as transport:
        await published(transport, 1, 2)
        cluster.delete("anew-source")
        cluster.make("anew-source", 1)
        with pytest.raises(Unavailable, match="the topic anew-source was deleted"):
            await transport.publish("source", [message(3)])
        assert await published(transport, 1, 3) == 3
    assert stored(cluster, "anew-source") == [1, 2, 3]


class Restarting:
    """A source whose process dies at any moment, and a cluster that is cut off at any moment."""

    def __init__(self, cluster: MockKafka, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self.written = 0

    async def play(self, steps: list[str]) -> None:
        """Do one thing after the other, and then publish what is left."""
        async with opened(self._folder, "source") as source:
            for step in [*steps, "die", "publish"]:
                if step == "write":
                    new = range(self.written + 1, self.written + 41)
                    await append(source, *[message(each, key=f"key {each % 7}") for each in new])
                    self.written += 40
                elif step == "cut":
                    self._cluster.cut_off_next_answer()
                elif step == "stop":
                    self._cluster.stop()
                    self._cluster.start()
                elif step == "die":
                    transport = KafkaTransport(self._cluster.url, partitions=PARTITIONS, timeout_seconds=3)
                    publisher = Publisher(source, transport, [], CLOCK)
                    await publisher.start()
                elif step == "save":
                    await publisher.save()
                else:
                    await self._publish(publisher)
            await transport.close()

    async def _publish(self, publisher: Publisher) -> None:
        while True:
            try:
                await publisher.step()
                return
            except Unavailable:
                await asyncio.sleep(0)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["write", "publish", "cut", "stop", "die", "save"]), max_size=12))
def test_however_often_source_and_brokers_are_cut_off_each_partition_has_everything_in_its_order(
    steps: list[str],
) -> None:
    with mock_kafka() as cluster, tempfile.TemporaryDirectory() as folder:
        restarting = Restarting(cluster, Path(folder))
        asyncio.run(restarting.play(["die", "write", *steps]))
        # A request that was cut off may still arrive later than it was looked for, and is stored twice then.
        lanes = [list(dict.fromkeys(stored(cluster, "insula-source", each))) for each in range(PARTITIONS)]
    assert sorted(position for lane in lanes for position in lane) == list(range(1, restarting.written + 1))
    assert all(lane == sorted(lane) for lane in lanes)
