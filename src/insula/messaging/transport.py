"""The port of what carries messages between processes: a broker that keeps them until each receiver has them.

Messages of one source lie in a channel of their own, spread over partitions by their key. A partition keeps the order
in which it was published. Every receiver reads every partition of a source, a share of them at a time: the processes of
one receiver divide its shares among themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from zlib import crc32

from insula.messages import Envelope

PARTITIONS = 16
"""How many partitions a channel has by default: it stays as it is as long as the channel lives."""

SHARES = 4
"""Into how many shares a receiver's reading is divided by default: so many of its processes can take part in it."""

Begin = Literal["now", "first"]
"""Where a receiver begins that the channel does not know yet: with what comes, or with the oldest that is kept."""


def partition_of(envelope: Envelope, partitions: int) -> int:
    """The partition of a message: by its key, so that one key never changes its partition; else by its id."""
    return partition_of_key(envelope.id if envelope.subject is None else envelope.subject, partitions)


def partition_of_key(key: str, partitions: int) -> int:
    """The partition of all messages of a key."""
    return crc32(key.encode()) % partitions


def partitions_of(share: int, partitions: int, shares: int) -> range:
    """The partitions of one share: every so-and-so-manieth."""
    return range(share, partitions, shares)


def log_cursor(source: str) -> str:
    """Under which name a receiver remembers how far it has read a source's log.

    A negative number says: in so many partitions, each with a cursor of its own.
    """
    return f"log of {source}"


def partition_cursor(source: str, partition: int) -> str:
    """The same for one partition."""
    return f"log of {source}/{partition}"


def joined_cursor(source: str) -> str:
    """Under which name it stands how far all of a source's log was read before its partitions were read apart."""
    return f"log of {source} until it was read apart"


def shares_cursor(source: str) -> str:
    """Under which name it stands in how many shares a source is read."""
    return f"shares of the log of {source}"


def needless_cursor(source: str, share: int) -> str:
    """Under which name a receiver remembers up to where marks of what it has taken of a share are needed no more."""
    return f"log of {source} without marks in share {share}"


@dataclass(frozen=True, slots=True)
class Channel:
    """What the broker has of one source.

    Parameters: `identity`, another one once the channel was made anew; `stored`, how many messages were ever stored in
    it, which only falls when the broker has lost some.
    """

    identity: str
    stored: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it arrived. Parameters: `receipt`, what its subscription acknowledges it by."""

    envelope: Envelope
    partition: int
    receipt: Any = None


class Subscription(Protocol):
    """One receiver's reading of one share of a channel."""

    def take(self) -> Sequence[Delivery]:
        """What has arrived since, without waiting. Raises `Unavailable` once nothing can arrive any more."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that these need not come again; they still may, so acknowledge them again then."""
        ...

    async def is_empty(self) -> bool:
        """Whether at some moment since the call everything in the share was given and acknowledged."""
        ...

    async def close(self) -> None:
        """Stop, and give back what was not acknowledged: the receiver's next subscription gets it at once."""
        ...


class Transport(Protocol):
    """Every method raises `Unavailable` where the broker does not answer, and works again once it does."""

    @property
    def partitions(self) -> int:
        """How many partitions each channel has."""
        ...

    @property
    def shares(self) -> int:
        """How many shares each receiver's reading has, from 1 up to as many as there are partitions."""
        ...

    async def open(self, source: str, receivers: Collection[str]) -> Channel:
        """Make the channel of a source where it is missing, and keep from now on what these receivers have not read.

        Raises ConfigurationError where the broker cannot be used as it is.
        """
        ...

    async def publish(self, source: str, envelopes: Sequence[Envelope]) -> int:
        """Store messages in their order, each after its partition's earlier ones or not at all; when it returns,
        the broker has them all. A message id that was stored lately is not stored again.

        Returns how many messages were ever stored in the channel. Raises `Unavailable` also for a channel that is not
        there; whoever is told so opens it, and looks what it has.
        """
        ...

    async def subscribe(
        self, source: str, receiver: str, share: int, *, arrived: Callable[[], None], window: int, begin: Begin = "now"
    ) -> Subscription:
        """Let a receiver read one share of a channel: first what was delivered before and never acknowledged, then
        what follows.

        One subscription of a receiver's share at a time. Parameters: `arrived`, called when there is something to take;
        `window`, at most so many messages are unacknowledged at a time.
        """
        ...

    async def close(self) -> None:
        """Let go of the broker."""
        ...
