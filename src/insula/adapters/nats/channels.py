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
_SHARES = "insula-shares"
_WINDOW_BEFORE_READING = 1024


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How channels are kept.

    Parameters: `prefix` of streams and subjects; `partitions`; `shares` of each receiver's reading; `limit_bytes`, how
    much a stream holds before its publisher has to wait; `replicas` in a cluster; `acknowledge_seconds`, after which
    the server takes a receiver for dead that has not even said that it still works.
    """

    prefix: str
    partitions: int
    shares: int
    limit_bytes: int
    replicas: int
    acknowledge_seconds: float

    def stream(self, source: str) -> str:
        """The name of a source's stream."""
        return f"{self.prefix}-{source}"

    def subject(self, source: str, partition: int) -> str:
        """The subject of one partition."""
        return f"{self.prefix}.{source}.{partition % self.shares}.{partition}"

    def subjects(self, source: str, share: int | None = None) -> str:
        """Those of all partitions, or of one share."""
        return f"{self.prefix}.{source}.{'*' if share is None else share}.*"

    def consumer(self, receiver: str, share: int) -> str:
        """The name of the consumer with which a receiver reads a share of a stream."""
        return f"{receiver}-{share}"


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
                name=name, subjects=[options.subjects(source)], retention=RetentionPolicy.INTEREST,
                discard=DiscardPolicy.NEW, max_bytes=options.limit_bytes, storage=StorageType.FILE,
                num_replicas=options.replicas,
                metadata={_PARTITIONS: str(options.partitions), _SHARES: str(options.shares)},
            )
        )  # fmt: skip
    metadata = found.config.metadata or {}
    partitions = metadata.get(_PARTITIONS)
    if partitions is None or found.config.retention != RetentionPolicy.INTEREST:
        raise ConfigurationError(f"the stream {name} was not made by Insula; give another prefix, or delete it")
    if partitions != str(options.partitions):
        raise ConfigurationError(
            f"the stream {name} has {partitions} partitions, not {options.partitions}; give that number, or let "
            "everybody read all of it and delete it"
        )
    if metadata.get(_SHARES) != str(options.shares):
        raise ConfigurationError(
            f"the stream {name} is read in {metadata.get(_SHARES, 'no')} shares, not in {options.shares}; give that "
            "number, or let everybody read all of it and delete it"
        )
    if found.config.max_bytes != options.limit_bytes:
        found = await context.update_stream(found.config.evolve(max_bytes=options.limit_bytes))
    return found


async def ensure_consumer(
    context: JetStreamContext,
    options: ChannelOptions,
    source: str,
    receiver: str,
    share: int,
    *,
    begin: Begin,
    window: int | None = None,
) -> None:
    """Make a receiver's consumer of a share where it is missing; one that is there only gets another window.

    Parameters: `window`, how much may be unacknowledged; None while the receiver itself has not said it.

    It has no `backoff`: that would override its `ack_wait`, and deliver again what is still worked on.
    """
    stream, name = options.stream(source), options.consumer(receiver, share)
    try:
        found = await context.consumer_info(stream, name)
    except NotFoundError:
        policy = DeliverPolicy.NEW if begin == "now" else DeliverPolicy.ALL
        await context.add_consumer(
            stream,
            ConsumerConfig(
                name=name, durable_name=name, filter_subject=options.subjects(source, share),
                deliver_policy=policy, ack_policy=AckPolicy.EXPLICIT,
                ack_wait=options.acknowledge_seconds, max_ack_pending=window or _WINDOW_BEFORE_READING, max_deliver=-1,
            ),
        )  # fmt: skip
        return
    if window is not None and (found.config.max_ack_pending, found.config.ack_wait) != (
        window, options.acknowledge_seconds,
    ):  # fmt: skip
        wanted = found.config.evolve(max_ack_pending=window, ack_wait=options.acknowledge_seconds)
        await context.add_consumer(stream, wanted)
