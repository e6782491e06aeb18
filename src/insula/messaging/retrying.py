"""When a message that failed is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from insula.store.database import ParkedState


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failing message is tried, and how the delay between attempts grows.

    Parameters: `attempts` in all (default 8); `first_delay_seconds` (default 0.5), doubled at each attempt up to
    `longest_delay_seconds` (default 300). With the defaults a message is tried for about a minute.
    """

    attempts: int = 8
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 300

    def after(self, attempts: int, now: datetime, limit: int | None = None) -> tuple[ParkedState, datetime]:
        """What becomes of a message that has failed `attempts` times; `limit` overrides the number of attempts."""
        if attempts >= (limit or self.attempts):
            return ParkedState.DEAD, now
        delay = min(self.first_delay_seconds * 2 ** min(attempts - 1, 40), self.longest_delay_seconds)
        return ParkedState.WAITING, now + timedelta(seconds=delay)
