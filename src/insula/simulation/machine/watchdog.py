"""Notices code that blocks the one thread in which everything runs: virtual time stands still, and so would the run."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

from insula.simulation.machine.loop import SimulatedLoop
from insula.simulation.machine.places import place, users_call

BLOCKED_SECONDS = 10.0
"""Real seconds that one step may take."""

_LOOKS = 4


class BlockedThread(RuntimeError):
    """Code under simulation blocked the thread: it slept, waited or computed without an end, instead of awaiting."""


class _Interrupted(BaseException):
    """Gets the thread out of the step; no `except Exception` keeps it there."""


class Watchdog:
    """While entered, interrupts a step of the loop that takes too long in real time, and says where it was.

    Leaving it raises BlockedThread then. Works by SIGALRM in the main thread; does nothing elsewhere, and nothing where
    somebody else (pytest-timeout, say) uses that signal.
    """

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._seconds = BLOCKED_SECONDS
        self._active = False
        self._steps, self._looks = -1, 0
        self._blocked: str | None = None

    def __enter__(self) -> Self:
        self._active = _alarm_is_free()
        if self._active:
            signal.signal(signal.SIGALRM, self._look)
            signal.setitimer(signal.ITIMER_REAL, self._seconds / _LOOKS, self._seconds / _LOOKS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._active:
            self._active = False
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if self._blocked is not None:
            raise BlockedThread(self._blocked) from None

    def _look(self, _: int, frame: FrameType | None) -> Any:
        if self._loop.steps != self._steps:
            self._steps, self._looks = self._loop.steps, 0
            return
        self._looks += 1
        if self._looks >= _LOOKS:
            self._blocked = self._blocked or (
                f"blocked for {self._seconds:g} s of real time at {_where(frame)}; "
                "await instead: virtual time only moves while nothing runs"
            )
            self._loop.stop()
            raise _Interrupted


def _alarm_is_free() -> bool:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return False
    return signal.getsignal(signal.SIGALRM) is signal.SIG_DFL and signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


def _where(frame: FrameType | None) -> str:
    """The line of the user's, and those from which it was called; the innermost line if no code of the user's runs."""
    if frame is None:
        return "an unknown place"
    user = users_call(frame)[0]
    if user is None:
        return place(frame)
    places = [place(user)]
    while (user := users_call(user.f_back)[0]) is not None:
        places.append(place(user))
    return ", called from ".join(places)
