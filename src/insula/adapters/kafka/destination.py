"""Sends the messages of an outbox to a Kafka topic of the application's own. Implements `Destination`."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection

from insula.adapters.kafka.addresses import servers_of
from insula.adapters.kafka.connection import KafkaConnection, value_of
from insula.adapters.kafka.faults import ALL_BROKERS_DOWN, error_of, refusal, wrong_settings
from insula.kernel.errors import ConfigurationError, Unavailable
from insula.messages import Envelope, to_cloudevent
from insula.messaging.destination import Refused

_POLL_SECONDS = 0.05
_CONTENT_TYPE = ("content-type", b"application/cloudevents+json")
_NEVER_TAKEN = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD)


class KafkaDestination:
    """Publishes each message to one topic as a CloudEvent; its key decides the partition, as in Kafka's Java clients.

    Parameters: `url`, such as kafka://host:9092,other:9092/topic (default topic `source`); `concurrency`, how many keys
    are published at a time (default 256); `timeout_seconds`, after which brokers that have not stored a message are
    `Unavailable` (default 10). The topic has to be there: how long it keeps messages is for others to say.
    """

    def __init__(self, url: str, source: str, *, concurrency: int = 256, timeout_seconds: float = 10.0) -> None:
        parts = urlsplit(url)
        self._topic = parts.path.strip("/") or source
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        try:
            servers = servers_of(parts.netloc)
        except ConfigurationError:
            raise ConfigurationError(f"relay.to: {shown}: write it like kafka://host:9092/topic") from None
        if "/" in self._topic:
            raise ConfigurationError(f"relay.to: {shown}: {self._topic} is no topic; write kafka://host:9092/topic")
        self._connection = KafkaConnection(servers, {}, timeout_seconds)
        self._producer: Producer | None = None
        self._reports: ThreadPoolExecutor | None = None
        self._trouble: KafkaError | None = None
        self.address = f"{servers.shown}/{self._topic}"
        self.concurrency = concurrency

    async def open(self) -> None:
        """Look for the topic. Raises `Unavailable`; ConfigurationError for credentials and where it is missing."""
        with self._connection.told(f"looking for the topic {self._topic}"):
            answers = await self._connection.ask(lambda admin: admin.describe_topics(TopicCollection([self._topic])))
            try:
                value_of(answers[self._topic])
            except KafkaException as error:
                if error_of(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise ConfigurationError(
                        f"{self._connection.address} has no topic {self._topic}; make one, such as: kafka-topics.sh "
                        f"--bootstrap-server host:9092 --create --topic {self._topic} --partitions 16"
                    ) from None
                raise

    async def send(self, message: Envelope) -> None:
        """Publish it, and wait until every broker in step has it. Raises `Unavailable`; `Refused` if it is too large.

        The library gives it up by itself when the time is over, so nothing of it is sent after this has returned.
        """
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[KafkaError | None] = loop.create_future()

        def settle(error: KafkaError | None) -> None:
            if not stored.done():
                stored.set_result(error)

        def answered(error: KafkaError | None, _: Message) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, error)

        data, key = to_cloudevent(message), None if message.subject is None else message.subject.encode()
        try:
            self._ready_producer().produce(self._topic, data, key, on_delivery=answered, headers=[_CONTENT_TYPE])
        except KafkaException as caught:
            settle(error_of(caught))
        error = await stored
        if error is None:
            self._trouble = None
        else:
            raise self._failed(error, message, len(data))

    def _failed(self, error: KafkaError, message: Envelope, size: int) -> Exception:
        if error.code() in _NEVER_TAKEN:
            return Refused(
                f"{message.type} {message.id} of {size} bytes is not taken by {self.address}: {error.str().rstrip('.')}"
            )
        trouble, self._trouble = self._trouble, None
        if trouble is not None and trouble.fatal():
            self._let_go()
        # What forbids one message forbids all of them: they wait, and none of them has failed by itself.
        told = refusal(trouble or error, self._connection.address, f"publishing to the topic {self._topic}")
        return Unavailable(str(told))

    def _ready_producer(self) -> Producer:
        if self._producer is None:
            settings = {
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 1,
                "message.timeout.ms": max(10, int(self._connection.timeout_seconds * 1000)),
            }
            try:
                self._producer = Producer(self._connection.client_settings(settings, self._heard))
            except KafkaException as error:
                raise wrong_settings(error) from None
            self._reports = ThreadPoolExecutor(1, "insula-kafka-reports")
            self._reports.submit(self._report, self._producer)
        return self._producer

    def _report(self, producer: Producer) -> None:
        """Let the library tell what became of messages, on a thread, until the producer is let go."""
        while producer is self._producer:
            producer.poll(_POLL_SECONDS)
        producer.purge()
        producer.poll(_POLL_SECONDS)

    def _heard(self, error: KafkaError) -> None:
        if error.code() != ALL_BROKERS_DOWN:  # which says less than what came before it
            self._trouble = error

    def _let_go(self) -> None:
        self._producer = None
        reports, self._reports = self._reports, None
        if reports is not None:
            reports.shutdown(wait=False)

    async def close(self) -> None:
        """Let go of the brokers."""
        self._let_go()
        await self._connection.close()
