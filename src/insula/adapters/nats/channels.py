"""A stream for each source, a durable consumer for each of its receivers, and how both are configured."""

from __future__ import annotations

from dataclasses import dataclass

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import NotFoundError

from insula.kernel.errors import ConfigurationError
from insula.messaging.transport import Begin

_PARTITIONS = "insula-partitions"
_WINDOW_BEFORE_READING = 1024


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How channels are kept.

    Parameters: `prefix` of streams and subjects; `partitions`; `limit_bytes`, how much a stream holds before its
    publisher has to wait; `replicas` in a cluster; `acknowledge_seconds`, after which the server takes a receiver for
    dead that has not even said that it still works.
    """

    prefix: str
    partitions: int
    limit_bytes: int
    replicas: int
    acknowledge_seconds: float

    def stream(self, source: str) -> str:
        """The name of a source's stream."""
        return f"{self.prefix}-{source}"

    def subject(self, source: str, partition: int | str) -> str:
        """The subject of one partition."""
        return f"{self.prefix}.{source}.{partition}"


async def ensure_stream(context: JetStreamContext, options: ChannelOptions, source: str) -> StreamInfo:
    """Make the stream of a source where it is missing.

    It keeps a message until every consumer has acknowledged it, for however long that takes, and takes nothing more
    when it is full: what nobody has read is never dropped, the log of the source holds what does not fit.
    Raises ConfigurationError for a stream of that name which is not as it must be.
    """
    name = options.stream(source)
    try:
        found = await context.stream_info(name)
    except NotFoundError:
        return await context.add_stream(
            StreamConfig(
                name=name, subjects=[options.subject(source, "*")], retention=RetentionPolicy.INTEREST,
                discard=DiscardPolicy.NEW, max_bytes=options.limit_bytes, storage=StorageType.FILE,
                num_replicas=options.replicas, metadata={_PARTITIONS: str(options.partitions)},
            )
        )  # fmt: skip
    partitions = (found.config.metadata or {}).get(_PARTITIONS)
    if partitions is None or found.config.retention != RetentionPolicy.INTEREST:
        raise ConfigurationError(f"the stream {name} was not made by Insula; give another prefix, or delete it")
    if partitions != str(options.partitions):
        raise ConfigurationError(
            f"the stream {name} has {partitions} partitions, not {options.partitions}; give that number, or let "
            "everybody read all of it and delete it"
        )
    if found.config.max_bytes != options.limit_bytes:
        found = await context.update_stream(found.config.evolve(max_bytes=options.limit_bytes))
    return found


async def ensure_consumer(
    context: JetStreamContext,
    options: ChannelOptions,
    source: str,
    receiver: str,
    *,
    begin: Begin,
    window: int | None = None,
) -> None:
    """Make the consumer of a receiver where it is missing; one that is there only gets another window.

    Parameters: `window`, how much may be unacknowledged; None while the receiver itself has not said it.

    It has no `backoff`: that would override its `ack_wait`, and deliver again what is still worked on.
    """
    stream = options.stream(source)
    try:
        found = await context.consumer_info(stream, receiver)
    except NotFoundError:
        policy = DeliverPolicy.NEW if begin == "now" else DeliverPolicy.ALL
        await context.add_consumer(
            stream,
            ConsumerConfig(
                name=receiver, durable_name=receiver, deliver_policy=policy, ack_policy=AckPolicy.EXPLICIT,
                ack_wait=options.acknowledge_seconds, max_ack_pending=window or _WINDOW_BEFORE_READING, max_deliver=-1,
            ),
        )  # fmt: skip
        return
    if window is not None and (found.config.max_ack_pending, found.config.ack_wait) != (
        window, options.acknowledge_seconds,
    ):  # fmt: skip
        wanted = found.config.evolve(max_ack_pending=window, ack_wait=options.acknowledge_seconds)
        await context.add_consumer(stream, wanted)
