"""Renews flags whose source waits for something outside: a server, a database."""

from __future__ import annotations

from insula.adapters.polling.poller import Poller
from insula.flags.flags import Flags
from insula.kernel.clock import Clock


class FlagPoller(Poller):
    """Parameters: `flags`; `every_seconds` (default: their `check_seconds`)."""

    def __init__(self, flags: Flags, *, every_seconds: float | None = None, clock: Clock | None = None) -> None:
        self.flags = flags
        every = flags.check_seconds if every_seconds is None else every_seconds
        super().__init__(flags.renew, every, name="insula-flags", clock=clock)
