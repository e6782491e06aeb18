"""A broker in this process's memory: for tests, and for whoever wants to see what the port asks of one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from insula.kernel.errors import Unavailable
from insula.messages import Envelope
from insula.messaging.transport import PARTITIONS, SHARES, Begin, Channel, Delivery, partition_of, partitions_of


@dataclass(slots=True)
class _Reader:
    """How far one receiver has come in a share: what it was given and has not acknowledged, and what comes next."""

    partitions: range
    following: int
    unacknowledged: dict[int, Delivery] = field(default_factory=dict)
    subscription: MemorySubscription | None = None


@dataclass(slots=True)
class _Stored:
    """The messages of one source, numbered from 1, and who reads them."""

    identity: str
    messages: list[Envelope | None] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    readers: dict[tuple[str, int], _Reader] = field(default_factory=dict)


class MemoryBroker:
    """What several `MemoryTransport`s share, as processes share a broker.

    Parameters: `partitions` of each channel (default 16); `shares` of each receiver's reading (default 4). It keeps
    everything for ever.
    """

    def __init__(self, partitions: int = PARTITIONS, shares: int = SHARES) -> None:
        for name, value in (("partitions", partitions), ("shares", shares)):
            if value < 1:
                raise ValueError(f"MemoryBroker({name}={value}): give 1 or more")
        self.partitions = partitions
        self.shares = min(shares, partitions)
        self.is_up = True
        self._channels: dict[str, _Stored] = {}
        self._made = 0

    def stop(self) -> None:
        """Answer nobody any more, and end every subscription; what was stored stays."""
        self.is_up = False
        for stored in self._channels.values():
            _end_reading(stored)

    def start(self) -> None:
        """Answer again."""
        self.is_up = True

    def forget(self, source: str) -> None:
        """Lose a channel with all that it had."""
        stored = self._channels.pop(source, None)
        if stored is not None:
            _end_reading(stored)

    def lose(self, source: str, message_id: str) -> None:
        """Lose one message that was stored."""
        messages = self.channel(source).messages
        number = next(number for number, each in enumerate(messages) if each is not None and each.id == message_id)
        messages[number] = None

    def channel(self, source: str, *, make: bool = True) -> _Stored:
        """The channel of a source, made where it is missing. Raises `Unavailable` while the broker is stopped."""
        if not self.is_up:
            raise Unavailable("the broker in memory is stopped")
        if source not in self._channels:
            if not make:
                raise Unavailable(f"the broker in memory has no channel of {source}")
            self._made += 1
            self._channels[source] = _Stored(f"memory {self._made}")
        return self._channels[source]


def _end_reading(stored: _Stored) -> None:
    for reader in stored.readers.values():
        if reader.subscription is not None:
            reader.subscription.end()


class MemoryTransport:
    """One process's connection to a `MemoryBroker`. Implements `Transport`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    @property
    def partitions(self) -> int:
        """How many partitions each channel has."""
        return self._broker.partitions

    @property
    def shares(self) -> int:
        """How many shares each receiver's reading has."""
        return self._broker.shares

    def _reader(self, stored: _Stored, receiver: str, share: int, following: int) -> _Reader:
        partitions = partitions_of(share, self._broker.partitions, self._broker.shares)
        return stored.readers.setdefault((receiver, share), _Reader(partitions, following))

    async def open(self, source: str, receivers: Collection[str]) -> Channel:
        """Make what is missing."""
        stored = self._broker.channel(source)
        for receiver in receivers:
            for share in range(self.shares):
                self._reader(stored, receiver, share, len(stored.messages))
        return Channel(stored.identity, len(stored.messages))

    async def publish(self, source: str, envelopes: Sequence[Envelope]) -> int:
        """Store messages, and hand them to whoever reads."""
        stored = self._broker.channel(source, make=False)
        for envelope in envelopes:
            if envelope.id not in stored.ids:
                stored.ids.add(envelope.id)
                stored.messages.append(envelope)
        for reader in stored.readers.values():
            if reader.subscription is not None:
                reader.subscription.fill()
        return len(stored.messages)

    async def subscribe(
        self, source: str, receiver: str, share: int, *, arrived: Callable[[], None], window: int, begin: Begin = "now"
    ) -> MemorySubscription:
        """Read from where the receiver was."""
        stored = self._broker.channel(source)
        start = len(stored.messages) if begin == "now" else 0
        reader = self._reader(stored, receiver, share, start)
        if reader.subscription is not None:
            reader.subscription.end()
        reader.following = min([*reader.unacknowledged, reader.following])
        reader.unacknowledged.clear()
        reader.subscription = MemorySubscription(stored, reader, self._broker.partitions, arrived, window)
        reader.subscription.fill()
        return reader.subscription

    async def close(self) -> None:
        """Nothing to let go of."""


class MemorySubscription:
    """One receiver's reading. Implements `Subscription`."""

    def __init__(
        self, stored: _Stored, reader: _Reader, partitions: int, arrived: Callable[[], None], window: int
    ) -> None:
        self._stored = stored
        self._reader = reader
        self._partitions = partitions
        self._arrived = arrived
        self._window = window
        self._ready: list[Delivery] = []
        self._ended = False

    def fill(self) -> None:
        """Hand over what the window has room for."""
        reader, messages, before = self._reader, self._stored.messages, len(self._ready)
        while not self._ended and reader.following < len(messages) and len(reader.unacknowledged) < self._window:
            number, envelope = reader.following, messages[reader.following]
            reader.following += 1
            if envelope is None:
                continue
            partition = partition_of(envelope, self._partitions)
            if partition in reader.partitions:
                delivery = Delivery(envelope, partition, number)
                reader.unacknowledged[number] = delivery
                self._ready.append(delivery)
        if len(self._ready) > before:
            self._arrived()

    def take(self) -> Sequence[Delivery]:
        """What was handed over."""
        if self._ended:
            raise Unavailable("the subscription to the broker in memory has ended")
        taken, self._ready = self._ready, []
        return taken

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Make room for others."""
        if self._ended:
            raise Unavailable("the subscription to the broker in memory has ended")
        for delivery in deliveries:
            self._reader.unacknowledged.pop(delivery.receipt, None)
        self.fill()

    async def is_empty(self) -> bool:
        """Whether everything was given and acknowledged."""
        reader, messages = self._reader, self._stored.messages
        mine = (each for each in messages[reader.following :] if each is not None)
        partitions = (partition_of(each, self._partitions) for each in mine)
        return (
            not self._ended and not reader.unacknowledged and not any(each in reader.partitions for each in partitions)
        )

    def end(self) -> None:
        """Hand over nothing more; whoever takes is told."""
        self._ended = True
        self._arrived()

    async def close(self) -> None:
        """What was not acknowledged comes again to the next subscription."""
        self._ended = True
        if self._reader.subscription is self:
            self._reader.subscription = None
