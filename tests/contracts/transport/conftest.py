"""Each case of the kit runs on every transport. Another one needs a line here, and what `Broker` asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.transport.brokers import Broker, KafkaInTest, MemoryInTest, NatsInTest
from insula.runtime.local.nats import LocalNats
from support.kafka import mock_kafka

KINDS = ("memory", "nats", "kafka")


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest) -> Broker:
    """A broker that is never stopped, with a single partition, so that everything is in one order."""
    if request.param == "memory":
        return MemoryInTest(partitions=1)
    if request.param == "kafka":
        return KafkaInTest(request.getfixturevalue("kafka_cluster"), partitions=1)
    return NatsInTest(request.getfixturevalue("nats_server"), partitions=1)


@pytest.fixture(params=KINDS)
def shared_broker(request: pytest.FixtureRequest) -> Broker:
    """A broker that is never stopped, whose four partitions are read in two shares."""
    if request.param == "memory":
        return MemoryInTest(partitions=4, shares=2)
    if request.param == "kafka":
        return KafkaInTest(request.getfixturevalue("kafka_cluster"), partitions=4, shares=2)
    return NatsInTest(request.getfixturevalue("nats_server"), partitions=4, shares=2)


@pytest.fixture(params=KINDS)
def broker_alone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A broker that the test may stop, with four partitions."""
    if request.param == "memory":
        yield MemoryInTest(partitions=4)
        return
    if request.param == "kafka":
        with mock_kafka() as cluster:
            yield KafkaInTest(cluster, partitions=4)
        return
    with LocalNats(tmp_path / "nats") as server:
        yield NatsInTest(server, partitions=4)
