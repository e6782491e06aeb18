"""A thread that renews what lies outside: flags at a server, rules in a database."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from weakref import WeakSet

from insula.kernel.clock import Clock, SystemClock
from insula.kernel.errors import ConfigurationError

_STOP_SECONDS = 1.0


class Poller:
    """Renews until it is stopped, or the end of a block. A process that is forked off has a thread of its own.

    Parameters: `renew`, which must not raise, and may return after how many seconds to look again; `every_seconds`, the
    most; `name` of the thread.
    """

    def __init__(
        self, renew: Callable[[], object], every_seconds: float, *, name: str, clock: Clock | None = None
    ) -> None:
        if not every_seconds > 0:
            raise ConfigurationError(f"{type(self).__name__}(every_seconds={every_seconds}): give more than 0")
        self._renew = renew
        self._name = name
        self.every_seconds = every_seconds
        self._clock: Clock = clock or SystemClock()
        self._running: _Run | None = None

    def start(self, *, wait_seconds: float = 10.0) -> None:
        """Begin, and wait until it was read once, but no longer than that: a source may let us hang."""
        self.begin()
        if self._running is not None:
            self._running.was_read.wait(wait_seconds)

    def begin(self) -> None:
        """Begin without waiting."""
        self._running = _Run(self._renew, self.every_seconds, self._clock, self._name)
        self._running.start()
        _RUNNING.add(self)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def runs(self) -> bool:
        """Whether the thread of this process is alive."""
        return self._running is not None and self._running.is_alive()

    def stop(self) -> None:
        """Let the thread end. One that waits for its source is not waited for long: it ends when it has its answer."""
        _RUNNING.discard(self)
        if self._running is not None:
            self._running.end()
            self._running = None


class _Run(threading.Thread):
    """The thread of one process."""

    def __init__(self, renew: Callable[[], object], every_seconds: float, clock: Clock, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._renew, self._every_seconds, self._clock = renew, every_seconds, clock
        self.was_read = threading.Event()
        self._wake = threading.Event()
        self._ends = False

    def run(self) -> None:
        while not self._ends:
            wanted = self._renew()
            self.was_read.set()
            sooner = wanted if isinstance(wanted, float) else self._every_seconds
            self._clock.block(min(sooner, self._every_seconds), self._wake)
            if not self._ends:
                self._wake.clear()  # a clock may have set it at the end of the pause

    def end(self) -> None:
        self._ends = True
        self._wake.set()
        if self is not threading.current_thread():
            self.join(_STOP_SECONDS)


_RUNNING: WeakSet[Poller] = WeakSet()


def _after_fork() -> None:
    """Threads stay behind in the parent, with whatever they were waiting for."""
    for poller in list(_RUNNING):
        poller.begin()


os.register_at_fork(after_in_child=_after_fork)
