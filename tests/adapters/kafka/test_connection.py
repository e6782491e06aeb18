"""What a user sees when Kafka cannot be used: one line that says what to do."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from insula.adapters.kafka.addresses import servers_of
from insula.adapters.kafka.transport import KafkaTransport
from insula.kernel.errors import ConfigurationError, Unavailable
from support.kafka import MockKafka
from support.neighbourhood import free_port

LIST_OFFSETS = 2
CLUSTER_FORBIDDEN, TOPIC_FORBIDDEN = 31, 29


async def refusal(transport: KafkaTransport) -> str:
    """What connecting ends with; it is told in one line."""
    async with asyncio.timeout(20):
        with pytest.raises((Unavailable, ConfigurationError)) as caught:
            await transport.connect()
    await transport.close()
    assert "\n" not in str(caught.value)
    return f"{caught.type.__name__}: {caught.value}"


async def test_a_right_address_connects(kafka_cluster: MockKafka) -> None:
    transport = KafkaTransport(kafka_cluster.url)
    await transport.connect()
    await transport.close()


async def test_a_wrong_address() -> None:
    port = free_port()
    told = await refusal(KafkaTransport(f"kafka://127.0.0.1:{port}"))
    assert told.startswith(f"Unavailable: kafka://127.0.0.1:{port} cannot be reached (")
    assert "Connection refused" in told
    assert told.endswith("is it running, is the address right?")


async def test_somebody_who_takes_connections_and_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"kafka://127.0.0.1:{silent.getsockname()[1]}"
        told = await refusal(KafkaTransport(url, timeout_seconds=0.2))
    assert told.startswith(f"Unavailable: {url} cannot be reached (")


async def test_one_of_several_servers_is_enough(kafka_cluster: MockKafka) -> None:
    transport = KafkaTransport([f"kafka://127.0.0.1:{free_port()}", kafka_cluster.url])
    await transport.connect()
    await transport.close()


async def test_settings_that_the_library_does_not_take() -> None:
    told = await refusal(KafkaTransport("kafka://127.0.0.1:1", settings={"sasl.colour": "blue"}))
    assert told == 'ConfigurationError: KafkaTransport(settings=...): No such configuration property: "sasl.colour"'


@pytest.mark.parametrize("code", [CLUSTER_FORBIDDEN, TOPIC_FORBIDDEN])
async def test_what_a_user_may_not_do_is_named(kafka_cluster: MockKafka, code: int) -> None:
    transport = KafkaTransport(kafka_cluster.url, prefix=f"forbidden{code}", partitions=1)
    await transport.open("source", [])
    kafka_cluster.refuse(LIST_OFFSETS, code)
    with pytest.raises(ConfigurationError, match=r"opening the topic forbidden\d+-source: .* allow it to this user"):
        await transport.open("source", [])
    await transport.close()


def test_addresses_become_settings_and_keep_their_secrets() -> None:
    servers = servers_of(["kafka://ann:se%2Fcret@10.0.0.1", "kafka://10.0.0.2:9093"])
    assert servers.shown == "kafka://10.0.0.1:9092, kafka://10.0.0.2:9093"
    assert servers.settings == {
        "bootstrap.servers": "10.0.0.1:9092,10.0.0.2:9093",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "SCRAM-SHA-256",
        "sasl.username": "ann",
        "sasl.password": "se/cret",
    }


def test_the_transport_of_the_documents() -> None:
    transport = KafkaTransport("kafka://10.0.0.1:9092,10.0.0.2:9092", prefix="shop", replicas=3)
    assert transport.partitions == 16


def test_several_addresses_may_stand_in_one_text() -> None:
    assert servers_of("kafka://a:1, b:2").settings == {"bootstrap.servers": "a:1,b:2"}
    assert servers_of("kafka://[::1]:1").settings == {"bootstrap.servers": "[::1]:1"}


@pytest.mark.parametrize("address", ["nats://ann:secret@a:1", "kafka://", "kafka://ann:secret@a:x", "kafka://a:1/b"])
def test_what_is_no_address_is_refused_without_its_secret(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write one such as kafka://127\.0\.0\.1:9092") as caught:
        KafkaTransport(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"servers": []}, "servers"),
        ({"partitions": 0}, "partitions"),
        ({"replicas": 0}, "replicas"),
        ({"retention": timedelta(0)}, "retention"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"prefix": "a.b"}, "prefix"),
        ({"settings": {"acks": 1}}, "settings"),
    ],
)
def test_bad_parameters_are_refused_with_their_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"KafkaTransport\({named}="):
        KafkaTransport(**{"servers": "kafka://127.0.0.1:9092", **options})


def test_without_the_extra_the_error_says_what_to_install() -> None:
    program = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "confluent_kafka" else find(name)
import insula.adapters.kafka.transport
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines()[-1] == (
        "insula.kernel.errors.ConfigurationError: a kafka:// transport needs confluent-kafka, which is not installed: "
        "pip install 'insula[kafka]'"
    )
