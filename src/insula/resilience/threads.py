"""A few threads that run plain functions for callers who may not wait until the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any

from insula.kernel.errors import Unavailable
from insula.resilience.functions import Function
from insula.resilience.policy import Locked

_IDLE_SECONDS = 10.0
Ended = Callable[[BaseException | None], object]


class ThreadsBusy(Unavailable):
    """All threads of a policy are busy; the call did not take place."""


class Work:
    """One call on a thread: `wake` is set when it has ended, or by a clock whose time is over; `done` says which.

    `ended` is told of its error, or None, before anybody is woken, and when its thread serves again.
    """

    __slots__ = ("_call", "_ended", "_error", "_value", "done", "wake")

    def __init__(self, function: Function, arguments: Any, named: Any, ended: Ended) -> None:
        context = copy_context()
        self._call: Any = lambda: context.run(function, *arguments, **named)
        self._value: Any = None
        self._error: BaseException | None = None
        self._ended = ended
        self.done = False
        self.wake = threading.Event()

    def run(self) -> None:
        """Call the function, in the context of whoever asked."""
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error
        self._call = None

    def end(self) -> None:
        """Let whoever waits go on."""
        self._ended(self._error)
        self.done = True
        self.wake.set()

    def result(self) -> Any:
        """What it returned, or raise what it raised."""
        try:
            if self._error is not None:
                raise self._error
            return self._value
        finally:
            self._error = None


class Threads(Locked):
    """Starts threads as they are needed, up to a number, and ends those that had nothing to do for a while.

    They are daemons: one that never comes back does not keep the program from ending.

    Parameters: `name`, of whom they serve; `most`, how many at once.
    """

    __slots__ = ("_idle", "_most", "_name", "_running", "_waiting")

    def __init__(self, name: str, most: int) -> None:
        super().__init__()
        self._name = name
        self._most = most
        self._running = 0
        self._idle = 0
        self._waiting: SimpleQueue[Work] = SimpleQueue()

    def start(self, function: Function, arguments: Any, named: Any, ended: Ended = lambda _: None) -> Work:
        """Run a function on a thread. Raises `ThreadsBusy` if all of them are busy."""
        work = Work(function, arguments, named, ended)
        with self.lock:
            if self._idle:
                self._idle -= 1
                self._waiting.put(work)
                return work
            if self._running >= self._most:
                raise ThreadsBusy(
                    f"{self._name}: all {self._most} threads are busy, some of them perhaps with calls that ran out of "
                    "time; allow more threads, or give the function a time limit of its own"
                )
            self._running += 1
        try:
            threading.Thread(target=self._serve, args=(work,), name=f"{self._name} thread", daemon=True).start()
        except BaseException:  # the machine has no more, or Python is ending
            with self.lock:
                self._running -= 1
            raise
        return work

    def _serve(self, work: Work | None) -> None:
        while work is not None:
            work.run()
            with self.lock:
                self._idle += 1  # before anybody hears of the end, who may come with the next call at once
            work.end()
            work = None  # while it waits, a thread holds nothing of the call before
            work = self._next()

    def _next(self) -> Work | None:
        while True:
            try:
                return self._waiting.get(timeout=_IDLE_SECONDS)
            except Empty:
                with self.lock:
                    if self._waiting.empty():
                        self._idle -= 1
                        self._running -= 1
                        return None

    def after_fork(self) -> None:
        """Threads do not survive a fork."""
        super().after_fork()
        self._running = self._idle = 0
        self._waiting = SimpleQueue()
