"""Where COMMIT waits for the disk: a thread of its own, woken with less ceremony than an executor's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Protocol

Action = Callable[[], object]
Done = Callable[[BaseException | None], None]


class Committer(Protocol):
    """Runs one commit at a time away from the loop."""

    def start(self, commit: Action, done: Done) -> None:
        """Begin `commit`; call `done` on the running loop with its error, or None."""
        ...

    def close(self) -> None:
        """Let go, once no commit is under way."""
        ...


class CommitThread:
    """A `Committer` on a thread, started at the first commit.

    Half the time of a lone commit used to be `run_in_executor`'s two futures; here it is one queue and one wake-up.
    The thread is a daemon: a process that ends in mid-commit finds it done or undone at the next start.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: SimpleQueue[tuple[asyncio.AbstractEventLoop, Action, Done] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, commit: Action, done: Done) -> None:
        """Begin `commit`; call `done` on the running loop with its error, or None."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._work.put((asyncio.get_running_loop(), commit, done))

    def _run(self) -> None:
        take = self._work.get
        while (work := take()) is not None:
            loop, commit, done = work
            error: BaseException | None = None
            try:
                commit()
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(done, error)
            del work, loop, commit, done, error

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None
