"""The order of one partition on the receiving side: what may begin, has to wait, may be acknowledged. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from insula.messages import Envelope
from insula.messaging.transport import Delivery


class Progress(Enum):
    """How far a message has come."""

    WAITING = "waiting"
    FLYING = "flying"
    TAKEN = "taken"


@dataclass(slots=True)
class Entry:
    """A message of a lane. A broker may deliver it more than once; each delivery wants its acknowledgement."""

    envelope: Envelope
    deliveries: list[Delivery]
    progress: Progress = Progress.WAITING


@dataclass(frozen=True, slots=True)
class Gap:
    """Something between two positions of a log was not delivered, though what comes after it was."""

    after: int
    before: int


class Lane:
    """One partition of one source, as one receiver reads it.

    Parameters: `position`, up to which the receiver remembers to have taken everything; None when it begins anew.

    Each message tells the position `previous` to it in its partition: it is next when everything up to there has begun.
    One that is not next is kept until those before it come. Nothing begins while a message that could not be taken
    waits for another attempt, or its key would overtake it.
    """

    def __init__(self, position: int | None) -> None:
        self.remembered = position
        self.failure: BaseException | None = None
        self.failures = 0
        self._reached = position
        self._flying = 0
        self._entries: dict[int, Entry] = {}
        self._early: dict[int, Entry] = {}
        self._waiting: deque[Entry] = deque()

    @property
    def is_still(self) -> bool:
        """Whether nothing is on its way to a handler."""
        return self._flying == 0

    @property
    def has_unremembered(self) -> bool:
        """Whether something has arrived that would come again after a crash: it may be marked, taken or not.

        A consumer marks it before it counts as taken, and another one of the same message may not be able to take it.
        """
        return bool(self._entries or self._early)

    def arrive(self, delivery: Delivery) -> bool:
        """Take a delivery in. False when its message was taken long ago: it only needs to be acknowledged."""
        envelope = delivery.envelope
        position = envelope.position
        if self._reached is None:  # whatever comes first is where it begins
            self._reached = self.remembered = min(envelope.previous, position - 1)
        known = self._entries.get(position) or self._early.get(position)
        if known is not None:
            known.deliveries.append(delivery)
            return True
        if position <= self._reached:
            return False
        self._early[position] = Entry(envelope, [delivery])
        if envelope.previous <= self._reached:
            self._accept(position)
        return True

    def _accept(self, position: int) -> None:
        """Let a message follow, and after it those that have come too early."""
        while True:
            entry = self._early.pop(position)
            self._entries[position] = entry
            self._waiting.append(entry)
            self._reached = position
            if not self._early:
                return
            position = min(self._early)
            if self._early[position].envelope.previous > self._reached:
                return

    def next(self) -> Entry | None:
        """The next message that may go to its handler now; None when none may."""
        if self.failure is not None or not self._waiting:
            return None
        entry = self._waiting.popleft()
        entry.progress = Progress.FLYING
        self._flying += 1
        return entry

    def taken(self, entry: Entry) -> None:
        """A message was durably taken or parked."""
        entry.progress = Progress.TAKEN
        self._flying -= 1

    def failed(self, entry: Entry, error: BaseException) -> None:
        """A message could be neither taken nor parked."""
        entry.progress = Progress.WAITING
        self._flying -= 1
        if self.failure is None:
            self.failure = error
            self.failures += 1

    def mend(self) -> None:
        """Let what failed begin again, before what waits behind it. Only when the lane is still."""
        self.failure = None
        self._waiting = deque(entry for entry in self._entries.values() if entry.progress is Progress.WAITING)

    def to_remember(self) -> int | None:
        """Up to where everything was taken, where that is not remembered yet."""
        reached = None
        for position, entry in self._entries.items():
            if entry.progress is not Progress.TAKEN:
                break
            reached = position
        return reached

    def remember(self, position: int) -> Sequence[Delivery]:
        """Everything up to a position is remembered durably: what may be acknowledged now."""
        done: list[Delivery] = []
        for passed in [each for each in self._entries if each <= position]:
            done += self._entries.pop(passed).deliveries
        self.remembered = position
        self.failures = 0
        return done

    def gap(self) -> Gap | None:
        """What is missing before those that have come too early."""
        if not self._early or self._reached is None:
            return None
        return Gap(self._reached, min(self._early))
