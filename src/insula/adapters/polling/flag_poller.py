"""Renews flags on a thread: those of a server or a database, and those of a file, so that asking never reads it."""

from __future__ import annotations

import threading

from insula.adapters.polling.poller import Poller
from insula.flags.flags import SETTLING_SECONDS, Flags
from insula.kernel.clock import Clock


class FlagPoller(Poller):
    """Parameters: `flags`; `every_seconds` (default: their `check_seconds`)."""

    def __init__(self, flags: Flags, *, every_seconds: float | None = None, clock: Clock | None = None) -> None:
        self.flags = flags
        every = flags.check_seconds if every_seconds is None else every_seconds
        super().__init__(self._look, every, name="insula-flags", clock=clock)

    def begin(self) -> None:
        """Begin without waiting."""
        self.flags.leave_to_poller(polled=True)
        super().begin()

    def stop(self) -> None:
        """Let the thread end. One that waits for its source is not waited for long: it ends when it has its answer."""
        self.flags.leave_to_poller(polled=False)
        super().stop()

    def _look(self) -> float:
        """Renew, and let listeners hear that the flags are stale also while the source lets us hang."""
        silence = threading.Timer(self.flags.stale_seconds, self.flags.note_silence)
        silence.daemon = True
        if self.flags.stale_seconds and self.flags.source.waits:
            silence.start()
        self.flags.renew()
        silence.cancel()
        return SETTLING_SECONDS if self.flags.settling else self.every_seconds
