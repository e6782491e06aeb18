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


def make_room(overflow: Overflow, full: deque[T], item: T) -> list[T]:
    """Apply one of the three dropping strategies to a full buffer; returns what was dropped."""
    if overflow is Overflow.DROP_NEWEST:
        return [item]
    if overflow is Overflow.DROP_OLDEST:
        dropped = [full.popleft()]
    else:
        dropped = list(full)
        full.clear()
    full.append(item)
    return dropped
