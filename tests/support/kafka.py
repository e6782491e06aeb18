"""Kafka without Kafka: the mock cluster that librdkafka brings along, behind a front that adds what it lacks.

The mock cluster stores, delivers, numbers and remembers as brokers do, also for idempotent producers; it cannot make
topics on request, nor tell how they are configured. A front before each broker answers that in its place. It also can
cut off an answer that is on its way.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka
from confluent_kafka import Consumer, TopicPartition

from support.kafka_front import Front, NewTopic, Topics

_PRODUCER = 0


def _library() -> ctypes.CDLL:
    """The librdkafka of confluent-kafka's wheel, with what its header says of the mock cluster."""
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(folder.glob("librdkafka*"))))
    pointer, text, integer, long = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int64
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, ()),
        ("rd_kafka_conf_set", integer, (pointer, text, text, pointer, ctypes.c_size_t)),
        ("rd_kafka_new", pointer, (integer, pointer, pointer, ctypes.c_size_t)),
        ("rd_kafka_destroy", None, (pointer,)),
        ("rd_kafka_mock_cluster_new", pointer, (pointer, integer)),
        ("rd_kafka_mock_cluster_destroy", None, (pointer,)),
        ("rd_kafka_mock_cluster_bootstraps", text, (pointer,)),
        ("rd_kafka_mock_set_controller_id", integer, (pointer, ctypes.c_int32)),
        ("rd_kafka_mock_broker_set_host_port", integer, (pointer, ctypes.c_int32, text, integer)),
        ("rd_kafka_mock_partition_set_leader", integer, (pointer, text, ctypes.c_int32, ctypes.c_int32)),
        ("rd_kafka_mock_coordinator_set", integer, (pointer, text, text, ctypes.c_int32)),
        ("rd_kafka_mock_topic_create", integer, (pointer, text, integer, integer)),
        ("rd_kafka_mock_topic_delete", integer, (pointer, text)),
        ("rd_kafka_mock_partition_delete_records", integer, (pointer, text, ctypes.c_int32, long)),
        ("rd_kafka_mock_clear_request_errors", None, (pointer, ctypes.c_int16)),
        ("rd_kafka_mock_push_request_errors_array", None, (pointer, ctypes.c_int16, ctypes.c_size_t, pointer)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class MockKafka:
    """A cluster. It keeps everything as long as it lives, also while it is stopped. Parameters: `brokers`, how many."""

    def __init__(self, brokers: int = 1) -> None:
        self._library = _library()
        settings = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(settings, b"log_level", b"2", None, 0)
        self._client = self._library.rd_kafka_new(_PRODUCER, settings, None, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, brokers)
        self._library.rd_kafka_mock_set_controller_id(self._cluster, 1)
        self._topics = Topics(self.make)
        addresses = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().split(",")
        self._fronts = [Front(int(address.rpartition(":")[2]), self._topics) for address in addresses]
        for broker, front in enumerate(self._fronts, start=1):
            self._library.rd_kafka_mock_broker_set_host_port(self._cluster, broker, b"127.0.0.1", front.port)

    @property
    def bootstrap(self) -> str:
        """Where the brokers are, as Kafka's own clients are told."""
        return ",".join(f"127.0.0.1:{front.port}" for front in self._fronts)

    @property
    def url(self) -> str:
        """The same, as Insula is told."""
        return f"kafka://{self.bootstrap}"

    @property
    def made(self) -> list[NewTopic]:
        """Which topics clients have asked for."""
        return self._topics.made

    @property
    def configured(self) -> dict[str, Mapping[str, str]]:
        """Topic -> its configuration, for a test to change."""
        return self._topics.configured

    @property
    def refusals(self) -> dict[str, int]:
        """Topic -> the error code of the protocol with which its making is refused once."""
        return self._topics.refusals

    def make(self, topic: str, partitions: int) -> int:
        """Make a topic; returns the error code of the protocol, 0 for none."""
        return int(self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1))

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """Let a broker lead a partition. Parameters: `broker`, from 1."""
        self._library.rd_kafka_mock_partition_set_leader(self._cluster, topic.encode(), partition, broker)

    def coordinate(self, group: str, broker: int) -> None:
        """Let a broker remember the places of a group. Parameters: `broker`, from 1."""
        self._library.rd_kafka_mock_coordinator_set(self._cluster, b"group", group.encode(), broker)

    def delete(self, topic: str) -> None:
        """Lose a topic with all that it had."""
        self._library.rd_kafka_mock_topic_delete(self._cluster, topic.encode())

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Delete what lies before an offset, as retention does."""
        self._library.rd_kafka_mock_partition_delete_records(self._cluster, topic.encode(), partition, before)

    def refuse(self, api: int, *codes: int) -> None:
        """Answer the next requests of a kind with these errors. Parameters: `api`, the key in the protocol."""
        errors = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, api, len(codes), errors)

    def forgive(self, api: int) -> None:
        """Answer such requests again."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, api)

    def cut_off_next_answer(self) -> None:
        """Let the next messages be stored, and hang up before anybody hears of it."""
        for front in self._fronts:
            front.cut_off_next_answer = True

    def stop(self, broker: int | None = None) -> None:
        """Hang up, and answer nobody any more. Parameters: `broker`, from 1; None for all."""
        for front in self._fronts if broker is None else [self._fronts[broker - 1]]:
            front.stop()

    def start(self, broker: int | None = None) -> None:
        """Answer again, with everything that was stored."""
        for front in self._fronts if broker is None else [self._fronts[broker - 1]]:
            front.start()

    def close(self) -> None:
        """Forget everything."""
        for front in self._fronts:
            front.close()
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def stored(self, topic: str, partition: int) -> list[tuple[int, bytes]]:
        """What lies in a partition: offsets and contents."""
        settings = {"bootstrap.servers": self.bootstrap, "group.id": "looking", "log_level": 2}
        consumer = Consumer(settings)
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), 5)
        consumer.assign([TopicPartition(topic, partition, first)])
        found: list[tuple[int, bytes]] = []
        while len(found) < end - first:
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                found.append((message.offset() or 0, message.value() or b""))
        consumer.close()
        return found


@contextmanager
def mock_kafka(brokers: int = 1) -> Iterator[MockKafka]:
    """A cluster of the test's own."""
    cluster = MockKafka(brokers)
    try:
        yield cluster
    finally:
        cluster.close()
