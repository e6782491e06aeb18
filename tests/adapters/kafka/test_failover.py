"""A cluster that loses one of its brokers, and brokers that go while nobody needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.kafka.connecting import connected
from contracts.transport.modules import Receiving, append, holds, opened, publishing, subscribed
from contracts.transport.reading import message
from insula.adapters.kafka.transport import KafkaTransport
from insula.kernel.errors import Unavailable
from support.kafka import MockKafka, mock_kafka


@pytest.fixture
def three_brokers() -> Iterator[MockKafka]:
    """A cluster that the test may take apart."""
    with mock_kafka(brokers=3) as cluster:
        yield cluster


async def test_when_a_broker_dies_the_others_take_over_and_nothing_is_lost_or_turned_round(
    three_brokers: MockKafka, tmp_path: Path
) -> None:
    cluster = three_brokers
    async with (
        connected(cluster, "over", partitions=6, shares=1, replicas=3) as transport,
        opened(tmp_path, "source") as source,
        opened(tmp_path, "reading") as target,
    ):
        receiver = Receiving(target)
        async with publishing(source, transport), subscribed(receiver, transport):
            for begin, dying in ((1, 1), (101, 2), (201, 3)):
                await append(source, *[message(each, key=f"key {each % 11}") for each in range(begin, begin + 100)])
                await receiver.until(lambda: len(receiver.taken) > begin)  # noqa: B023 - awaited at once
                cluster.stop(dying)
                for partition in range(6):
                    cluster.lead("over-source", partition, dying % 3 + 1)
                cluster.coordinate("over-reading", dying % 3 + 1)
                await receiver.until(lambda: len(receiver.taken) == begin + 99)  # noqa: B023 - awaited at once
                cluster.start(dying)
    assert all(receiver.of_key(f"key {each}") == list(range(each or 11, 301, 11)) for each in range(11))


def heard_of_it(transport: KafkaTransport) -> bool:
    """Whether the producer was told that it has lost its brokers."""
    outlet = transport._outlets["source"]
    assert outlet._producer is not None
    outlet._producer.poll(0)
    return outlet._was_cut_off


async def test_brokers_that_were_away_while_nobody_published_are_not_noticed_later() -> None:
    with mock_kafka() as cluster:
        async with connected(cluster, "idle") as transport:
            await transport.open("source", [])
            assert await transport.publish("source", [message(1)]) == 1
            cluster.stop()
            await holds(lambda: heard_of_it(transport))
            cluster.start()
            assert await transport.publish("source", [message(2)]) == 2


async def test_brokers_that_went_while_nobody_published_are_told_at_once() -> None:
    with mock_kafka() as cluster:
        async with connected(cluster, "gone", timeout_seconds=10) as transport:
            await transport.open("source", [])
            assert await transport.publish("source", [message(1)]) == 1
            cluster.stop()
            await holds(lambda: heard_of_it(transport))
            for _ in range(2):
                async with asyncio.timeout(5):
                    with pytest.raises(Unavailable, match="is it running, is the address right"):
                        await transport.publish("source", [message(2)])
