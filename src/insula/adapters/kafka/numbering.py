"""Which number each message of a source has in its topic, and which of them are there already. Pure.

Kafka does not know a message again by its id. So every message carries its number: how many there were with it. Those
that lie last in the partitions tell how far the topic is filled, and which messages need not be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from insula.messages import Envelope
from insula.messaging.transport import partition_of

TOGETHER = 256
"""So many messages are on their way at a time: no number that is missing lies further back than that."""

_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message that is to be sent."""

    envelope: Envelope
    partition: int
    number: int


def without_gap(numbers: Mapping[str, int]) -> int:
    """Up to which number everything is stored, given those that lie last in each partition (id -> number).

    The brokers store the messages of one partition in their order, but those of two partitions as they please. So when
    the last that were sent were not all stored, some are missing below the highest number.
    """
    highest = max(numbers.values(), default=0)
    there, reached = set(numbers.values()), max(0, highest - TOGETHER)
    while reached + 1 in there:
        reached += 1
    return reached


class Numbering:
    """Gives numbers to messages.

    Parameters: `recent`, the messages that lie last in each partition (id -> number).
    """

    def __init__(self, recent: Mapping[str, int]) -> None:
        self.stored = without_gap(recent)
        """So many messages were ever stored, without a gap."""
        latest = sorted(recent.items(), key=lambda each: each[1])[-_REMEMBERED:]
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
            planned.append(Numbered(envelope, partition, number))
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
