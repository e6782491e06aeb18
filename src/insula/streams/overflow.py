"""What becomes of an item that finds no room. Pure."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Overflow(Enum):
    """What a full channel does with one more item."""

    BLOCK = "block"
    """The sender waits until there is room."""
    FAIL = "fail"
    """The send raises `ChannelFull`."""
    DROP_NEWEST = "drop newest"
    """The new item is dropped."""
    DROP_OLDEST = "drop oldest"
    """The item that waited longest makes room."""
    KEEP_LATEST = "keep latest"
    """All that waits is dropped; the new item stays alone."""


def make_room(overflow: Overflow, full: deque[T], item: T) -> int:
    """Apply one of the three dropping strategies to a full buffer; returns how many items were dropped."""
    if overflow is Overflow.DROP_NEWEST:
        return 1
    if overflow is Overflow.DROP_OLDEST:
        full.popleft()
        full.append(item)
        return 1
    dropped = len(full)
    full.clear()
    full.append(item)
    return dropped
