"""Time as a port: the only place that reads the machine's clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Wake(Protocol):
    """What ends a thread's wait early; a `threading.Event` is one."""

    def set(self) -> None:
        """Let whoever waits go on."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, but no longer than that."""
        ...


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Let it not come; harmless afterwards."""


class Clock(Protocol):
    """What time it is, how long something took, and waiting."""

    def now(self) -> datetime:
        """The wall clock: an aware datetime in UTC. May jump."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start. Never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds; zero or less gives other tasks a turn."""

    def block(self, seconds: float, wake: Wake | None = None) -> None:
        """Hold the calling thread that many seconds, or until `wake` is set; the clock may set it at the end."""

    def call_at(self, moment: float, callback: Callable[[], object]) -> Timer:
        """Call back on the running loop, in its thread, when `monotonic` shows that moment, or a little later."""
        ...


class SystemClock:
    """The clocks of the machine."""

    # The C function itself: policies read it at every call, and a method around it would double its price.
    monotonic = staticmethod(time.monotonic)

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        import asyncio  # asyncio takes 40 ms to import and whoever awaits this has it already

        await asyncio.sleep(max(0.0, seconds))

    def block(self, seconds: float, wake: Wake | None = None) -> None:
        """Hold the calling thread."""
        if wake is None:
            time.sleep(max(0.0, seconds))
        else:
            wake.wait(max(0.0, seconds))

    def call_at(self, moment: float, callback: Callable[[], object]) -> Timer:
        """Call back on the running event loop. Raises RuntimeError where none runs."""
        import asyncio

        # Loops have clocks of their own, uvloop's counts whole milliseconds: what they share is how long to wait.
        return asyncio.get_running_loop().call_later(max(0.0, moment - time.monotonic()), callback)
