"""What a hedge asks: each attempt plays its part, in virtual time."""

from __future__ import annotations

import asyncio

from insula.testing import VirtualClock


class Replicas:
    """Each attempt takes its seconds, then raises its error or returns its number. Notes when each began and ended."""

    def __init__(self, clock: VirtualClock, *attempts: tuple[float, Exception | None], cleaning: float = 0.0) -> None:
        self.clock = clock
        self.attempts = attempts
        self.cleaning = cleaning
        self.began: list[float] = []
        self.ended: dict[int, tuple[float, str]] = {}

    async def ask(self) -> int:
        number = len(self.began) + 1
        self.began.append(self.clock.monotonic())
        seconds, error = self.attempts[min(number, len(self.attempts)) - 1]
        how = "failed"
        try:
            await self.clock.sleep(seconds)
            if error is not None:
                raise error
            how = "answered"
        except asyncio.CancelledError:
            how = "cancelled"
            await self.clock.sleep(self.cleaning)
            raise
        finally:
            self.ended[number] = self.clock.monotonic(), how
        return number
