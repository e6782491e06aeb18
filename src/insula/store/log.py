"""The port of a module's log, as whoever follows it sees it, in the same process or in another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from insula.messages import Envelope

Appended = Callable[[frozenset[str]], None]

TIMER_SAVED = "insula.timer"
"""Stands among the types appended when a message was stored that will enter the log later."""


class Log(Protocol):
    """What one module has published and sent, in order, without gaps."""

    @property
    def name(self) -> str:
        """The module's name."""
        ...

    async def log_after(self, position: int, types: Collection[str], limit: int) -> Sequence[Envelope]:
        """The log after a position, of the given types only; of all types when there are none."""
        ...

    async def log_count(self, position: int, types: Collection[str]) -> int:
        """How many messages of the given types the log has after a position."""
        ...

    async def log_first(self) -> int:
        """The first position that was not pruned; 0 while the log is empty."""
        ...

    async def log_head(self) -> int:
        """The last position; 0 while the log is empty."""
        ...

    def on_append(self, listener: Appended) -> None:
        """Call `listener` with the types appended, after durable commits; it may miss some, so look now and then."""
        ...


class Lag(NamedTuple):
    """How far the log is behind: rows that are committed and have no position yet, and the oldest open transaction,
    its age in seconds and whose it is, which keeps nobody waiting but for what it has locked, and what is cleaned up
    behind it.
    """

    unnumbered: int
    oldest_transaction_seconds: float
    oldest_transaction: str = ""
