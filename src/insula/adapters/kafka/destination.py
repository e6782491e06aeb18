"""Sends the messages of an outbox to a topic of the application's own. Implements `Destination`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection

from insula.adapters.kafka.addresses import servers_of
from insula.adapters.kafka.connection import KafkaConnection, value_of
from insula.adapters.kafka.faults import error_of, is_cut_off, refusal, wrong_settings
from insula.kernel.errors import ConfigurationError, Unavailable
from insula.messages import Envelope, to_cloudevent
from insula.messaging.destination import Refused

_CONTENT_TYPE = ("content-type", b"application/cloudevents+json")
_POLL_SECONDS = 0.05
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)
_SETTINGS: Mapping[str, Any] = {"acks": "all", "enable.idempotence": True, "linger.ms": 1}


class KafkaDestination:
    """Publishes each message to a topic, with its key, so that those of a key lie in their order in one partition.

    Parameters: `url`, whose path is the topic (default `source`); `concurrency`, how many keys are published at a time
    (default 256); `timeout_seconds`, after which brokers that say nothing are `Unavailable` (default 10); `settings` of
    librdkafka beside ours. The topic has to be there: how long it keeps messages is for others to say.

    A message whose answer was lost is sent again and stored again, with the same id in its CloudEvent.
    """

    def __init__(
        self,
        url: str,
        source: str,
        *,
        concurrency: int = 256,
        timeout_seconds: float = 10.0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._topic = parts.path.strip("/") or source
        self._connection = KafkaConnection(
            servers_of(parts._replace(path="").geturl()), settings or {}, timeout_seconds
        )  # fmt: skip
        self.address = f"{self._connection.address}/{self._topic}"
        self.concurrency = concurrency
        self._timeout_seconds = timeout_seconds
        self._producer: Producer | None = None
        self._was_cut_off = False
        self._waiting: set[asyncio.Future[None]] = set()
        self._polling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect. Raises `Unavailable`; ConfigurationError where there is no such topic."""
        with self._connection.told(f"looking for the topic {self._topic}"):
            found = await self._connection.ask(lambda admin: admin.describe_topics(TopicCollection([self._topic])))
            try:
                value_of(next(iter(found.values())))
            except KafkaException as error:
                if error_of(error).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
                raise ConfigurationError(
                    f"{self._connection.address} has no topic {self._topic}; make one, such as: "
                    f"kafka-topics --create --topic {self._topic} --partitions 16"
                ) from None

    async def send(self, message: Envelope) -> None:
        """Publish it, and wait until the brokers have it. Raises `Unavailable`; `Refused` where it is too large."""
        delivered = asyncio.get_running_loop().create_future()
        producer = self._ready_producer()
        try:
            producer.produce(
                self._topic, to_cloudevent(message), (message.subject or message.id).encode(),
                headers=[_CONTENT_TYPE], on_delivery=partial(_told, delivered),
            )  # fmt: skip
        except (BufferError, KafkaException) as error:
            raise self._refusal(message, error) from None
        self._waiting.add(delivered)
        delivered.add_done_callback(self._waiting.discard)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(2 * self._timeout_seconds):
                await delivered
        except KafkaException as error:
            raise self._refusal(message, error) from None
        except TimeoutError:
            raise Unavailable(f"{self.address}: no answer in {2 * self._timeout_seconds:g} s") from None

    def _refusal(self, message: Envelope, caught: Exception) -> Exception:
        if not isinstance(caught, KafkaException):
            return Unavailable(f"{self.address}: too many messages wait to be sent")
        error = error_of(caught)
        if error.code() in _TOO_LARGE:
            return Refused(f"{message.type} {message.id} is larger than {self.address} takes: {error.str()}")
        if error.fatal():
            self._was_cut_off = True
        # Also what is forbidden: somebody may allow it, and the messages wait for that.
        return Unavailable(str(refusal(error, self._connection.address, f"publishing to {self._topic}")))

    def _ready_producer(self) -> Producer:
        if self._was_cut_off and not self._waiting:
            self._let_go()
        if self._producer is None:
            self._was_cut_off = False
            timing = {"message.timeout.ms": int(self._timeout_seconds * 1000)}
            try:
                self._producer = Producer(self._connection.client_settings({**_SETTINGS, **timing}, self._heard))
            except KafkaException as error:
                raise wrong_settings(error) from None
        return self._producer

    def _heard(self, error: KafkaError) -> None:
        if is_cut_off(error):
            self._was_cut_off = True

    async def _poll(self) -> None:
        """Hear what became of the messages on their way, on a thread, until none is left."""
        loop = asyncio.get_running_loop()
        while self._waiting and (producer := self._producer) is not None:
            await loop.run_in_executor(None, producer.poll, _POLL_SECONDS)

    def _let_go(self) -> None:
        if self._producer is not None:
            clients, self._producer = [self._producer], None
            self._connection.let_go(clients)

    async def close(self) -> None:
        """Let go. What is on its way may still be stored."""
        for each in tuple(self._waiting):
            each.cancel()
        if self._polling is not None:
            await asyncio.wait([self._polling])
        self._let_go()
        await self._connection.close()


def _told(delivered: asyncio.Future[None], error: KafkaError | None, _: Message) -> None:
    """Called on the thread that polls."""
    delivered.get_loop().call_soon_threadsafe(_settle, delivered, error)


def _settle(delivered: asyncio.Future[None], error: KafkaError | None) -> None:
    if delivered.done():  # nobody waits any more
        return
    if error is None:
        delivered.set_result(None)
    else:
        delivered.set_exception(KafkaException(error))
