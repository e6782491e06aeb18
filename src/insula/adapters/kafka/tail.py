"""Reading what lies last in each partition of a topic: what was stored lately, by whomever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from insula.adapters.kafka.channels import Channels, Topic
from insula.adapters.kafka.connection import KafkaConnection
from insula.adapters.kafka.faults import END_OF_PARTITION, TIMED_OUT, is_cut_off
from insula.adapters.kafka.numbering import TOGETHER, Recent

NUMBER_HEADER, AFTER_HEADER = "insula-number", "insula-after"
_POLL_SECONDS = 0.05


class _Known(msgspec.Struct):
    id: str = ""


_decode = msgspec.json.Decoder(_Known).decode


@dataclass(frozen=True, slots=True)
class Tail:
    """What lies last in a topic.

    Parameters: `ends`, partition -> the offset after its last message.
    """

    ends: Mapping[int, int]
    recent: Recent


async def read_tail(connection: KafkaConnection, channels: Channels, topic: Topic) -> Tail:
    """The last messages of each partition, as many as may have been on their way at a time. Raises KafkaException."""
    first, ends = await channels.ends(topic, first=True), await channels.ends(topic)
    reading = _Reading(topic, {each: max(first[each], end - TOGETHER) for each, end in ends.items()})
    settings = connection.client_settings(
        {
            "group.id": f"{topic.name}-tail",  # never committed to
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
        },
        reading.heard,
    )
    return await connection.within(lambda: reading.run(settings), reading.stop)


class _Reading:
    """Reads to the end of each partition, wherever that is by then, on a thread."""

    def __init__(self, topic: Topic, starts: Mapping[int, int]) -> None:
        self._topic = topic
        self._starts = starts
        self._ends: dict[int, int] = {}
        self._numbers: dict[str, int] = {}
        self._after = 0
        self._failed: KafkaError | None = None
        self._is_stopped = False

    def heard(self, error: KafkaError) -> None:
        if is_cut_off(error):
            self._failed = error

    def stop(self) -> None:
        self._is_stopped = True

    def run(self, settings: dict[str, Any]) -> Tail:
        consumer = Consumer(settings)
        try:
            consumer.assign([TopicPartition(self._topic.name, each, at) for each, at in self._starts.items()])
            while len(self._ends) < len(self._starts) and self._failed is None and not self._is_stopped:
                message = consumer.poll(_POLL_SECONDS)
                if message is not None:
                    self._take(message)
        finally:
            consumer.close()
        if self._failed is None and len(self._ends) < len(self._starts):
            self._failed = KafkaError(TIMED_OUT, f"the end of {self._topic.name} could not be read in time")
        if self._failed is not None:
            raise KafkaException(self._failed)
        return Tail(self._ends, Recent(self._numbers, self._after))

    def _take(self, message: Message) -> None:
        error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
        if error is None:
            self._ends.pop(partition, None)  # it has grown
            self._note(message)
        elif error.code() == END_OF_PARTITION:
            self._ends[partition] = offset
        else:
            self._failed = error

    def _note(self, message: Message) -> None:
        """Nothing of what Insula did not send."""
        headers = dict(message.headers() or ())
        number, after = _integer(headers.get(NUMBER_HEADER)), _integer(headers.get(AFTER_HEADER))
        if number is not None and after is not None:
            self._numbers[_id_of(message)] = number
            self._after = max(self._after, after)


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, bytes) and value.isdigit() else None


def _id_of(message: Message) -> str:
    try:
        return _decode(message.value() or b"").id
    except msgspec.MsgspecError:
        return ""
