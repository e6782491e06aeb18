"""Time as a port: the only place that reads the machine's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, how long something took, and waiting."""

    def now(self) -> datetime:
        """The wall clock: an aware datetime in UTC. May jump."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start. Never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds; zero or less gives other tasks a turn."""


class SystemClock:
    """The clocks of the machine."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        import asyncio  # asyncio takes 40 ms to import and whoever awaits this has it already

        await asyncio.sleep(max(0.0, seconds))
