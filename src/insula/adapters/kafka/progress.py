"""How far a receiver has come in a partition: only what was acknowledged without a gap may be committed. Pure."""

from __future__ import annotations

from collections import deque


class Progress:
    """What one subscription was given of one partition, and what of it was acknowledged.

    Parameters: `start`, the offset of the first message that is to come. Kafka remembers one offset for a partition:
    everything before it is done. Messages are acknowledged in any order, so it waits for the earliest.
    """

    __slots__ = ("_done", "_given", "next", "reached")

    def __init__(self, start: int) -> None:
        self.next = start
        """The least offset that the next message may have."""
        self.reached = start
        """Everything before this offset was acknowledged."""
        self._given: deque[int] = deque()
        self._done: set[int] = set()

    def __len__(self) -> int:
        """How many messages were given and do not lie behind `reached`."""
        return len(self._given)

    def given(self, offset: int) -> bool:
        """A message was given. False for one that lies before an earlier one: the partition was made anew."""
        if offset < self.next:
            return False
        self.next = offset + 1
        self._given.append(offset)
        return True

    def acknowledged(self, offset: int) -> None:
        """A message needs not come again."""
        if offset >= self.reached:
            self._done.add(offset)
        while self._given and self._given[0] in self._done:
            done = self._given.popleft()
            self._done.discard(done)
            self.reached = done + 1
