"""A topic for each source, a consumer group for each receiver, and how both are made and remembered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its own names, as documented
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from insula.adapters.kafka.connection import KafkaConnection, value_of, values_of
from insula.adapters.kafka.faults import error_of
from insula.kernel.errors import ConfigurationError
from insula.messaging.transport import Begin

_NO_ID = ("", "AAAAAAAAAAAAAAAAAAAAAA")
_BROKERS_CHOICE = -1


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How channels are kept.

    Parameters: `prefix` of topics and groups; `partitions`; `replicas` of each topic, None for the brokers' default;
    `retention`, how long a new topic keeps a message, None for ever.
    """

    prefix: str
    partitions: int
    replicas: int | None
    retention: timedelta | None

    def topic(self, source: str) -> str:
        """The name of a source's topic."""
        return f"{self.prefix}-{source}"

    def group(self, receiver: str) -> str:
        """The consumer group of a receiver: the same for all its sources, with an offset in each partition of each."""
        return f"{self.prefix}-{receiver}"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is. Parameters: `id`, another one once it was made anew."""

    name: str
    id: str
    partitions: int

    @property
    def places(self) -> list[TopicPartition]:
        """Its partitions."""
        return [TopicPartition(self.name, partition) for partition in range(self.partitions)]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a group has come in a partition. Parameters: `topic_id`, of the topic that it was in, or empty."""

    offset: int
    topic_id: str


class Channels:
    """Topics and offsets of groups in one cluster. Everything raises KafkaException."""

    def __init__(self, connection: KafkaConnection, options: ChannelOptions) -> None:
        self._connection = connection
        self._options = options

    def group(self, receiver: str) -> str:
        """The consumer group of a receiver."""
        return self._options.group(receiver)

    async def _ask_one(self, call: Any) -> Any:
        """Ask for a single thing."""
        (answer,) = (await self._connection.ask(call)).values()
        return value_of(answer)

    async def look(self) -> None:
        """See that the cluster answers."""
        await self._ask_one(lambda admin: {"cluster": admin.describe_cluster()})

    async def find(self, source: str) -> Topic | None:
        """The topic of a source; None where there is none."""
        return await self._named(self._options.topic(source))

    async def is_current(self, topic: Topic) -> bool:
        """Whether a topic is still the one of that name."""
        found = await self._named(topic.name)
        return found is not None and found.id == topic.id

    async def _named(self, name: str) -> Topic | None:
        try:
            found = await self._ask_one(lambda admin: admin.describe_topics(TopicCollection([name])))
        except KafkaException as error:
            if error_of(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise
        return Topic(name, str(found.topic_id or ""), len(found.partitions))

    async def ensure(self, source: str) -> Topic:
        """The topic of a source, made where it is missing. Raises ConfigurationError for one that is not as it must be.

        It keeps messages by their age alone. A topic that is compacted would drop all but the last of each key.
        """
        found = await self.find(source)
        if found is None:
            await self._make(source)
            found = await self.find(source)
            if found is None:  # not every broker knows it yet
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "it was only just made"))
        if found.id in _NO_ID:
            raise ConfigurationError(
                f"{self._connection.address} does not tell the ids of topics; Insula needs Kafka 2.8 or newer"
            )
        if found.partitions != self._options.partitions:
            raise ConfigurationError(
                f"the topic {found.name} has {found.partitions} partitions, not {self._options.partitions}; give that "
                "number, or let everybody read all of it and delete it"
            )
        await self._check_policy(found.name)
        return found

    async def _make(self, source: str) -> None:
        options = self._options
        kept = -1 if options.retention is None else int(options.retention.total_seconds() * 1000)
        new = NewTopic(
            options.topic(source), options.partitions, options.replicas or _BROKERS_CHOICE,
            config={"cleanup.policy": "delete", "retention.ms": str(kept), "retention.bytes": "-1"},
        )  # fmt: skip
        try:
            await self._ask_one(lambda admin: admin.create_topics([new]))
        except KafkaException as error:
            code = error_of(error).code()
            if code in (KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.POLICY_VIOLATION):
                raise ConfigurationError(f"the topic {new.topic} cannot be made: {error_of(error).str()}") from None
            if code != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

    async def _check_policy(self, name: str) -> None:
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            found = await self._ask_one(lambda admin: admin.describe_configs([resource]))
        except KafkaException:  # not everybody may ask, and not every broker answers
            return
        policy = found.get("cleanup.policy")
        if policy is not None and "compact" in (policy.value or ""):
            raise ConfigurationError(
                f"the topic {name} is compacted, which drops all but the last message of a key: set its "
                "cleanup.policy to delete"
            )

    async def ends(self, topic: Topic, *, first: bool = False) -> dict[int, int]:
        """Partition -> the offset after its last message; or of the oldest that is kept."""
        which = OffsetSpec.earliest() if first else OffsetSpec.latest()  # type: ignore[no-untyped-call]

        def call(admin: AdminClient) -> Mapping[TopicPartition, Future[Any]]:
            return admin.list_offsets(dict.fromkeys(topic.places, which))

        found = values_of(await self._connection.ask(call))
        return {place.partition: answer.offset for place, answer in found.items()}

    async def places(self, topic: Topic, receiver: str) -> dict[int, Place]:
        """Partition -> how far a receiver has come, where that is known."""
        request = ConsumerGroupTopicPartitions(self._options.group(receiver), topic.places)
        try:
            found = await self._ask_one(lambda admin: admin.list_consumer_group_offsets([request]))
        except KafkaException as error:
            if error_of(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise
        return {
            each.partition: Place(each.offset, each.metadata or "")
            for each in found.topic_partitions
            if each.offset >= 0 and each.error is None
        }

    async def remember(self, topic: Topic, receiver: str, offsets: Mapping[int, int]) -> None:
        """Store how far a receiver has come: which message it wants next, and in which topic of that name."""
        if not offsets:
            return
        request = ConsumerGroupTopicPartitions(
            self._options.group(receiver),
            [TopicPartition(topic.name, partition, offset, topic.id) for partition, offset in offsets.items()],
        )
        stored = await self._ask_one(lambda admin: admin.alter_consumer_group_offsets([request]))
        refused = next((each.error for each in stored.topic_partitions if each.error is not None), None)
        if refused is not None:
            raise KafkaException(refused)

    async def begin(
        self, topic: Topic, receiver: str, begin: Begin, partitions: Sequence[int] | None = None
    ) -> dict[int, int]:
        """Where a receiver goes on in each of these partitions, by default in all of them.

        In one that it does not know it begins, and that is remembered. Of a topic that was made anew it has read
        nothing, however far it had come in the one before; and of one that has lost its end nobody knows what it has
        not read.
        """
        known = await self.places(topic, receiver)
        first, ends = await self.ends(topic, first=True), await self.ends(topic)
        if partitions is not None:  # the others are somebody else's, who may be moving on in them just now
            known = {each: place for each, place in known.items() if each in partitions}
            first = {each: first[each] for each in partitions}
        current = {
            partition: place.offset
            for partition, place in known.items()
            if place.topic_id in ("", topic.id) and place.offset <= ends[partition]
        }
        new = first if begin == "first" else ends
        missing = {each: (first if each in known else new)[each] for each in first if each not in current}
        await self.remember(topic, receiver, missing)
        return current | missing

    async def keep(self, topic: Topic, receivers: Collection[str]) -> None:
        """From now on keep a place for each of these receivers."""
        for receiver in sorted(receivers):
            await self.begin(topic, receiver, "now")
