"""Where COMMIT waits for the disk: a thread of its own, woken with less ceremony than an executor's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Protocol

from insula.kernel.clock import Clock
from insula.store.database import Scope

Action = Callable[[], object]
Done = Callable[[BaseException | None], None]

INLINE_BELOW_SECONDS = 0.00025
_WEIGHT_OF_THE_LATEST = 0.125


class Committer(Protocol):
    """Runs one commit at a time."""

    def start(self, commit: Action, done: Done, units: Sequence[Scope]) -> None:
        """Begin `commit`, which stores `units`; call `done` on the running loop with its error, or None."""
        ...

    def close(self) -> None:
        """Let go, once no commit is under way."""
        ...


class CommitThread:
    """A `Committer` on a thread, started at the first commit.

    Half the time of a lone commit used to be `run_in_executor`'s two futures; here it is one queue and one wake-up.
    Where the disk has lately answered within a quarter of a millisecond even that takes longer than the wait, so there
    a lone commit runs on the loop; after a slow answer the next ones go to the thread again.
    The thread is a daemon: a process that ends in mid-commit finds it done or undone at the next start.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._monotonic = clock.monotonic
        self._usual_seconds = 1.0  # the thread's, until it is known better
        self._work: SimpleQueue[tuple[asyncio.AbstractEventLoop, Action, Done] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, commit: Action, done: Done, units: Sequence[Scope]) -> None:
        """Begin `commit`; call `done` on the running loop with its error, or None."""
        if len(units) == 1 and self._usual_seconds < INLINE_BELOW_SECONDS:
            error = self._measured(commit)
            done(error)
            if error is not None and not isinstance(error, Exception):
                raise error  # Ctrl-C in mid-commit: the units have been told that it is uncertain, the process ends
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._work.put((asyncio.get_running_loop(), commit, done))

    def _measured(self, commit: Action) -> BaseException | None:
        """Commit, and learn how fast the disk usually answers."""
        started = self._monotonic()
        try:
            commit()
        except BaseException as error:
            return error
        seconds = self._monotonic() - started
        self._usual_seconds += (seconds - self._usual_seconds) * _WEIGHT_OF_THE_LATEST
        return None

    def _run(self) -> None:
        take = self._work.get
        while (work := take()) is not None:
            loop, commit, done = work
            error = self._measured(commit)
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(done, error)
            del work, loop, commit, done, error

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None
