"""Kafka without Kafka: the mock cluster that librdkafka brings along, behind a front that adds what it lacks.

The mock cluster stores, delivers, numbers and remembers as brokers do, also for idempotent producers; it cannot make
topics on request. The front answers those requests in its place. It also can cut off an answer that is on its way.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import pack, unpack_from
from threading import Thread
from typing import Any, NamedTuple

import confluent_kafka
from confluent_kafka import Consumer, TopicPartition

_PRODUCER, _ALL = 0, -1
_PRODUCE, _API_VERSIONS, _CREATE_TOPICS = 0, 18, 19
_ALREADY_EXISTS = 36


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
        ("rd_kafka_mock_broker_set_down", integer, (pointer, ctypes.c_int32)),
        ("rd_kafka_mock_broker_set_up", integer, (pointer, ctypes.c_int32)),
        ("rd_kafka_mock_topic_create", integer, (pointer, text, integer, integer)),
        ("rd_kafka_mock_topic_delete", integer, (pointer, text)),
        ("rd_kafka_mock_partition_delete_records", integer, (pointer, text, ctypes.c_int32, long)),
        ("rd_kafka_mock_clear_request_errors", None, (pointer, ctypes.c_int16)),
        ("rd_kafka_mock_push_request_errors_array", None, (pointer, ctypes.c_int16, ctypes.c_size_t, pointer)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class NewTopic(NamedTuple):
    """A topic that a client has asked for."""

    name: str
    partitions: int
    replicas: int
    config: dict[str, str]


class MockKafka:
    """A cluster of one broker. It keeps everything as long as it lives, also while it is stopped."""

    def __init__(self) -> None:
        self._library = _library()
        settings = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(settings, b"log_level", b"2", None, 0)
        self._client = self._library.rd_kafka_new(_PRODUCER, settings, None, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        self._library.rd_kafka_mock_set_controller_id(self._cluster, 1)
        _, _, port = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().rpartition(":")
        self._front = _Front(int(port), self.make)
        self._library.rd_kafka_mock_broker_set_host_port(self._cluster, 1, b"127.0.0.1", self._front.port)

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"kafka://127.0.0.1:{self._front.port}"

    def make(self, topic: str, partitions: int) -> int:
        """Make a topic; returns the error code of the protocol, 0 for none."""
        return int(self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1))

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
        self._front.cut_off_next_answer = True

    @property
    def made(self) -> list[NewTopic]:
        """Which topics clients have asked for."""
        return self._front.made

    def stop(self) -> None:
        """Hang up, and answer nobody any more."""
        self._front.stop()

    def start(self) -> None:
        """Answer again, with everything that was stored."""
        self._front.start()

    def close(self) -> None:
        """Forget everything."""
        self._front.close()
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def stored(self, topic: str, partition: int) -> list[tuple[int, bytes]]:
        """What lies in a partition: offsets and contents."""
        settings = {"bootstrap.servers": self.url.removeprefix("kafka://"), "group.id": "looking", "log_level": 2}
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
def mock_kafka() -> Iterator[MockKafka]:
    """A cluster of the test's own."""
    cluster = MockKafka()
    try:
        yield cluster
    finally:
        cluster.close()


class _Front:
    """Stands before the mock broker, on a loop and a thread of its own."""

    def __init__(self, behind: int, make: Callable[[str, int], int]) -> None:
        self.cut_off_next_answer = False
        self.made: list[NewTopic] = []
        self._behind = behind
        self._make = make
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        self._do(self._start())

    def stop(self) -> None:
        self._do(self._stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for _ in range(3):  # some were only just accepted, and what was aborted is closed a moment later
            pumps = tuple(self._pumps)
            for pump in pumps:
                pump.cancel()
            if pumps:
                await asyncio.wait(pumps)
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pump = asyncio.current_task()
        assert pump is not None
        self._pumps.add(pump)
        try:
            behind_reader, behind = await asyncio.open_connection("127.0.0.1", self._behind)
            asked: dict[int, int] = {}
            answers = asyncio.create_task(self._answers(behind_reader, writer, asked))
            try:
                await self._requests(reader, behind, writer, asked)
            finally:
                answers.cancel()
                behind.transport.abort()
                await asyncio.wait([answers])
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._pumps.discard(pump)

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        behind: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        asked: dict[int, int],
    ) -> None:
        while True:
            frame = await _frame(reader)
            key, _, number = unpack_from(">hhi", frame)
            if key == _CREATE_TOPICS:
                _send(writer, pack(">i", number) + self._created(frame))
                continue
            asked[number] = key
            _send(behind, frame)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, int]) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(reader)
                key = asked.pop(unpack_from(">i", frame)[0], None)
                if key == _PRODUCE and self.cut_off_next_answer:
                    self.cut_off_next_answer = False
                    break
                _send(writer, _with_create_topics(frame) if key == _API_VERSIONS else frame)
        writer.transport.abort()

    def _created(self, frame: bytes) -> bytes:
        """The answer to a request for one topic without assignments, in version 4 of it."""
        at = 8 + 2 + unpack_from(">h", frame, 8)[0] + 4
        name, at = _text(frame, at)
        partitions, replicas, _, count = unpack_from(">ihii", frame, at)
        at, config = at + 14, {}
        for _ in range(count):
            key, at = _text(frame, at)
            config[key], at = _text(frame, at)
        self.made.append(NewTopic(name, partitions, replicas, config))
        code = _ALREADY_EXISTS if self._make(name, partitions) else 0
        return pack(">iih", 0, 1, len(name)) + name.encode() + pack(">hh", code, -1)


def _text(frame: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + unpack_from(">h", frame, at)[0]
    return frame[at + 2 : end].decode(), end


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = unpack_from(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(pack(">i", len(frame)) + frame)


def _with_create_topics(frame: bytes) -> bytes:
    """Which requests the broker knows, and that one, in version 0 of the answer."""
    error, count = unpack_from(">hi", frame, 4)
    if error:
        return frame
    return frame[:6] + pack(">i", count + 1) + frame[10:] + pack(">hhh", _CREATE_TOPICS, 0, 4)
