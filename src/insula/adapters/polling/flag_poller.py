"""Renews flags on a thread: those of a server or a database, and those of a file, so that asking never reads it."""

from __future__ import annotations

import os
import threading
from weakref import WeakSet

from insula.flags.flags import SETTLING_SECONDS, Flags
from insula.kernel.clock import Clock, SystemClock

_STOP_SECONDS = 1.0


class FlagPoller:
    """A thread that renews flags until it is stopped. A process that is forked off has one of its own.

    Parameters: `flags`; `every_seconds` (default: their `check_seconds`).
    """

    def __init__(self, flags: Flags, *, every_seconds: float | None = None, clock: Clock | None = None) -> None:
        self.flags = flags
        self._every_seconds = flags.check_seconds if every_seconds is None else every_seconds
        self._clock: Clock = clock or SystemClock()
        self._running: _Run | None = None

    def start(self, *, wait_seconds: float = 10.0) -> None:
        """Begin, and wait until the flags were read once, but no longer than that: a source may let us hang."""
        self.begin()
        if self._running is not None:
            self._running.was_read.wait(wait_seconds)

    def begin(self) -> None:
        """Begin without waiting."""
        self.flags.leave_to_poller(polled=True)
        self._running = _Run(self.flags, self._every_seconds, self._clock)
        self._running.start()
        _RUNNING.add(self)

    @property
    def runs(self) -> bool:
        """Whether the thread of this process is alive."""
        return self._running is not None and self._running.is_alive()

    def stop(self) -> None:
        """Let the thread end. One that waits for its source is not waited for long: it ends when it has its answer."""
        _RUNNING.discard(self)
        self.flags.leave_to_poller(polled=False)
        if self._running is not None:
            self._running.end()
            self._running = None


class _Run(threading.Thread):
    """The thread of one process."""

    def __init__(self, flags: Flags, every_seconds: float, clock: Clock) -> None:
        super().__init__(name="insula-flags", daemon=True)
        self._flags, self._every_seconds, self._clock = flags, every_seconds, clock
        self.was_read = threading.Event()
        self._wake = threading.Event()
        self._ends = False

    def run(self) -> None:
        while not self._ends:
            self._renew()
            self.was_read.set()
            settling = min(self._every_seconds, SETTLING_SECONDS)
            self._clock.block(settling if self._flags.settling else self._every_seconds, self._wake)
            if not self._ends:
                self._wake.clear()  # a clock may have set it at the end of the pause

    def _renew(self) -> None:
        """Renew, and let listeners hear that the flags are stale also while the source lets us hang."""
        silence = threading.Timer(self._flags.stale_seconds, self._flags.note_silence)
        silence.daemon = True
        if self._flags.stale_seconds and self._flags.source.waits:
            silence.start()
        self._flags.renew()
        silence.cancel()

    def end(self) -> None:
        self._ends = True
        self._wake.set()
        if self is not threading.current_thread():
            self.join(_STOP_SECONDS)


_RUNNING: WeakSet[FlagPoller] = WeakSet()


def _after_fork() -> None:
    """Threads stay behind in the parent, with whatever they were waiting for."""
    for poller in list(_RUNNING):
        poller.begin()


os.register_at_fork(after_in_child=_after_fork)
