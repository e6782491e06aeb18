"""Which number each message of a source has in its topic, and which of them are there already. Pure.

Kafka does not know a message again by its id. So every message carries its number: how many there were with it; and up
to which number everything was stored when it was sent. Those that lie last in the partitions tell how far the topic is
filled, and which messages need not be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from insula.messages import Envelope
from insula.messaging.transport import partition_of

TOGETHER = 256
"""So many messages are on their way at a time: none that is missing lies further back in its partition than that."""

_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message that is to be sent. Parameters: `after`, the number up to which everything is stored."""

    envelope: Envelope
    partition: int
    number: int
    after: int


@dataclass(frozen=True, slots=True)
class Recent:
    """The messages that lie last in each partition.

    Parameters: `numbers`, message id -> number; `after`, the highest number up to which one of them says that
    everything is stored.

    The brokers store the messages of one partition in their order, but those of two partitions as they please. So when
    the last that were sent were not all stored, some are missing below the highest number.
    """

    numbers: Mapping[str, int] = field(default_factory=dict)
    after: int = 0

    @property
    def stored(self) -> int:
        """Up to which number everything is stored."""
        there, reached = set(self.numbers.values()), self.after
        while reached + 1 in there:
            reached += 1
        return reached


class Numbering:
    """Gives numbers to messages. Parameters: `recent`, what the topic has."""

    def __init__(self, recent: Recent) -> None:
        self.stored = recent.stored
        """So many messages were ever stored, without a gap."""
        latest = sorted(recent.numbers.items(), key=lambda each: each[1])[-_REMEMBERED:]
        self._recent = dict(latest)
        self._sent: set[int] = set()

    def plan(self, envelopes: Sequence[Envelope], partitions: int) -> tuple[list[Numbered], int]:
        """Which of these messages are to be sent, and how many will be stored then.

        One that is there already is left out; but not when one before it in its partition was missing, or it would
        stand before it.
        """
        number, planned = self.stored, list[Numbered]()
        sent = set(self._sent)
        for envelope in envelopes:
            partition, known = partition_of(envelope, partitions), self._recent.get(envelope.id)
            if known is not None and (known <= self.stored or partition not in sent):
                number = max(number, known)
                continue
            number += 1
            sent.add(partition)
            planned.append(Numbered(envelope, partition, number, self.stored))
        return planned, number

    def done(self, planned: Sequence[Numbered], stored: int) -> None:
        """What was planned is stored."""
        self.stored = stored
        for each in planned:
            self._sent.add(each.partition)
            self._recent.pop(each.envelope.id, None)
            self._recent[each.envelope.id] = each.number
        while len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]
