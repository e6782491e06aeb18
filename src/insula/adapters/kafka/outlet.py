"""Publishing to a topic: many messages on their way, each partition in its order or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from insula.adapters.kafka.channels import Topic
from insula.adapters.kafka.connection import KafkaConnection
from insula.adapters.kafka.faults import TIMED_OUT, error_of, is_consequence, is_cut_off, wrong_settings
from insula.adapters.kafka.numbering import TOGETHER, Numbered, Numbering
from insula.adapters.kafka.tail import AFTER_HEADER, NUMBER_HEADER, Tail
from insula.kernel.errors import Failure, Unavailable
from insula.messages import Envelope, to_cloudevent

_POLL_SECONDS = 0.05
_LAST_WORDS = 4
_CONTENT_TYPE = ("content-type", b"application/cloudevents+json")

SETTINGS: Mapping[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    # Nothing is stored after what could not be: one refused message stops the producer, and none is given up alone.
    "enable.gapless.guarantee": True,
    "message.timeout.ms": 0,
    "linger.ms": 1,
}


class Outlet:
    """Publishes the messages of one source.

    The idempotent producer keeps the order of each partition through retries, and stores nothing after what is missing.
    After any failure nobody knows what was stored: the producer is thrown away, with all that it has not sent, and the
    topic's end is read before anything more is sent. A request that was cut off and still arrives after that stores its
    messages a second time; readers know them by their position, and they have the same numbers.

    Kafka fences nobody: two processes that publish at once both store their messages, as often as each sends them. Each
    of them notices by the offsets, and fails.
    """

    def __init__(self, connection: KafkaConnection, name: str) -> None:
        self.topic: Topic | None = None
        """Where messages go; None while it is not known what it has."""
        self._connection = connection
        self._name = name
        self._numbering: Numbering | None = None
        self._ends: dict[int, int] = {}
        self._producer: Producer | None = None
        self._was_cut_off = False
        self._topic_id = ""
        self._batch: _Batch | None = None

    def reached(self, topic: Topic, tail: Tail) -> int:
        """What the topic has, as somebody has just read; returns how many messages were ever stored."""
        if topic.id != self._topic_id:
            self._let_go()
        self.topic, self._topic_id = topic, topic.id
        self._numbering, self._ends = Numbering(tail.recent), dict(tail.ends)
        return self._numbering.stored

    async def publish(self, envelopes: Sequence[Envelope]) -> int:
        """Store messages in their order; returns how many were ever stored. Raises `Unavailable` and KafkaException."""
        for begin in range(0, len(envelopes), TOGETHER):
            numbering, topic = self._sure()
            planned, stored = numbering.plan(envelopes[begin : begin + TOGETHER], topic.partitions)
            if planned:
                await self._send(planned)
            numbering.done(planned, stored)
        return self._sure()[0].stored

    def _sure(self) -> tuple[Numbering, Topic]:
        if self._numbering is None or self.topic is None:
            raise Unavailable(f"{self._connection.address}: it is not known what the topic {self._name} has")
        return self._numbering, self.topic

    async def _send(self, planned: Sequence[Numbered]) -> None:
        producer, batch = self._ready_producer(), _Batch(self._name, planned)
        self._batch = batch
        try:
            await self._connection.within(lambda: batch.deliver(producer), batch.stop)
            self._check(planned, batch.offsets)
        except BaseException:
            self.forget()  # nobody knows what was stored
            raise
        finally:
            self._batch = None

    def _ready_producer(self) -> Producer:
        """A producer that was not cut off while it had nothing to send: it would not tell again that it is."""
        if self._producer is not None:
            self._producer.poll(0)
            if self._was_cut_off:
                self._let_go()
        if self._producer is None:
            self._was_cut_off = False
            try:
                self._producer = Producer(self._connection.client_settings(SETTINGS, self._heard))
            except KafkaException as error:
                raise wrong_settings(error) from None
        return self._producer

    def _heard(self, error: KafkaError) -> None:
        if not is_cut_off(error):
            return
        self._was_cut_off = True
        if self._batch is not None:
            self._batch.fail(KafkaException(error))

    def _check(self, planned: Sequence[Numbered], offsets: Sequence[int | None]) -> None:
        """Each message must have been stored right behind the one before it.

        Where the brokers had it already from a request whose answer was lost, they do not always say where.
        """
        for each, offset in zip(planned, offsets, strict=True):
            expected = self._ends[each.partition]
            self._ends[each.partition] = expected + 1
            if offset is not None and offset >= 0 and offset != expected:
                raise Unavailable(
                    f"{self._connection.address}: partition {each.partition} of {self._name} was at {offset}, not at "
                    f"{expected}: another process publishes to it, or it was made anew"
                )

    def forget(self) -> None:
        """Whoever publishes next has to read first what the topic has."""
        self.topic = self._numbering = None
        self._let_go()

    def _let_go(self) -> None:
        if self._producer is not None:
            clients, self._producer = [self._producer], None
            self._connection.let_go(clients)


class _Batch:
    """Messages on their way together, and where each was stored."""

    def __init__(self, topic: str, planned: Sequence[Numbered]) -> None:
        self.offsets: list[int | None] = [None] * len(planned)
        self._topic = topic
        self._planned = planned
        self._left = len(planned)
        self._failure: Exception | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """Wait no longer."""
        self._is_stopped = True

    def fail(self, error: Exception) -> None:
        """Nothing more of it will be stored. The cause is told rather than what it led to, whichever comes first."""
        if self._failure is None or (_is_consequence(self._failure) and not _is_consequence(error)):
            self._failure = error

    def deliver(self, producer: Producer) -> None:
        """Send all of it and wait for the answers, on a thread. Raises what went wrong."""
        try:
            for index, each in enumerate(self._planned):
                if self._failure is None:  # nothing after what could not be sent
                    self._produce(producer, index, each)
            while self._left and self._failure is None and not self._is_stopped:
                producer.poll(_POLL_SECONDS)
        except KafkaException as error:
            self.fail(error)
        if self._left:
            if self._failure is None:
                self.fail(KafkaException(KafkaError(TIMED_OUT, "no answer to what was published")))
            producer.purge()
            for _ in range(_LAST_WORDS):
                if self._left:
                    producer.poll(_POLL_SECONDS)
        if self._failure is not None:
            raise self._failure

    def _produce(self, producer: Producer, index: int, each: Numbered) -> None:
        envelope, data = each.envelope, to_cloudevent(each.envelope)
        numbers = [(NUMBER_HEADER, str(each.number).encode()), (AFTER_HEADER, str(each.after).encode())]

        def answered(error: KafkaError | None, message: Message) -> None:
            self._left -= 1
            if error is None:
                self.offsets[index] = message.offset()
            else:
                self.fail(self._refused(error, envelope, len(data)))

        try:
            producer.produce(
                self._topic, data, None if envelope.subject is None else envelope.subject.encode(), each.partition,
                on_delivery=answered, headers=[_CONTENT_TYPE, *numbers],
            )  # fmt: skip
        except KafkaException as error:
            self.fail(self._refused(error_of(error), envelope, len(data)))

    def _refused(self, error: KafkaError, envelope: Envelope, size: int) -> Exception:
        if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE):
            return Failure(
                f"{envelope.source}: {envelope.type} {envelope.id} has {size} bytes, which is too large for the topic "
                f"{self._topic}: raise its max.message.bytes, and message.max.bytes in settings; until then everything "
                "after it waits"
            )
        return KafkaException(error)


def _is_consequence(error: Exception) -> bool:
    """Whether something was only given up because of something else."""
    return isinstance(error, KafkaException) and is_consequence(error_of(error))
