"""What stands between a module and its database's server: pools connect through here, and it is counted.

To connect is all that is safe to repeat blindly. Statements are repeated where that is known to be safe: a read on a
new connection (`reader`), a unit that was certainly not stored, or that its mark protects (`database`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from insula.adapters.postgres.errors import is_lost, state_of
from insula.adapters.postgres.pool import Pool
from insula.resilience import CircuitBreaker, CircuitOpen, ExponentialBackoff, ResiliencePipeline, Retry
from insula.store.errors import DatabaseUnavailable
from insula.store.measures import DatabaseMeasures

FAILURES_BEFORE_OPEN = 5
OPEN_SECONDS = 1.0
"""So long nobody tries a server that did not answer so often in a row; then one does."""

_PROBE_SECONDS = 15.0
"""Longer than connecting may take: one that succeeds late says that the server is back, too."""

_TOO_MANY_CLIENTS = "53300"
_ATTEMPTS = 2
_PAUSE_SECONDS = 0.05


class Ambassador:
    """Connects to one server for one module. Parameters: `place`, whose connections they are, for errors."""

    def __init__(self, connect: Callable[..., Awaitable[Any]], place: str) -> None:
        self._place = place
        name = f"database of {place}"
        self._breaker = CircuitBreaker(
            FAILURES_BEFORE_OPEN, OPEN_SECONDS, on=_is_away, probe_seconds=_PROBE_SECONDS, name=name
        )  # fmt: skip
        retry = Retry(on=_is_away, attempts=_ATTEMPTS, backoff=ExponentialBackoff(_PAUSE_SECONDS), name=name)
        self._connect = ResiliencePipeline(retry, self._breaker)(connect)
        self.connected = 0
        self.failed = 0
        self._cause = ""

    async def connect(self, **settings: str) -> Any:
        """A connection. Raises what the driver raises, and `Unavailable` while the circuit is open."""
        try:
            connection = await self._connect(**settings)
        except CircuitOpen as error:
            raise DatabaseUnavailable(
                f"{self._place}: its database did not answer {FAILURES_BEFORE_OPEN} times in a row ({self._cause}), "
                "and is left alone for a moment",
                retry_after=error.retry_after or OPEN_SECONDS,
            ) from None
        except Exception as error:
            self.failed += 1
            self._cause = " ".join(str(error).split()) or type(error).__name__
            raise
        self.connected += 1
        return connection

    def measures(self, pools: Iterable[Pool], units: int, repeated: int) -> DatabaseMeasures:
        """What was counted since the start."""
        found = list(pools)
        return DatabaseMeasures(
            open=sum(pool.open for pool in found), busy=sum(pool.lent for pool in found),
            limit=sum(pool.limit for pool in found), waits=sum(pool.waits for pool in found),
            longest_wait_seconds=max(pool.longest_wait_seconds for pool in found),
            refused=sum(pool.refused for pool in found), connected=self.connected, failed=self.failed,
            circuit=self._breaker.snapshot().state, units=units, repeated=repeated,
        )  # fmt: skip


def _is_away(error: BaseException) -> bool:
    """Whether the server did not answer: that it has too many clients, or does not know us, it has said itself."""
    return is_lost(error) and state_of(error) != _TOO_MANY_CLIENTS
