"""A channel as threads use it: the same verbs, and they block."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from math import inf
from typing import TypeVar

from insula.kernel.errors import DeadlineExceeded
from insula.streams.end import ChannelEnd
from insula.streams.errors import SenderGone
from insula.streams.parameters import duration
from insula.streams.waiting import ThreadWaiter

T = TypeVar("T")

_LOOK_SECONDS = 0.5
"""How often a thread that waits looks whether the event loop on the other side is closed; nobody could tell it."""


class BlockingEnd(ChannelEnd[T]):
    """A channel for threads: `send(item)`, `receive()`, or a plain `for`. Made by `Channel.blocking`."""

    __slots__ = ()

    def send(self, item: T, *, timeout: float | timedelta | None = None) -> None:
        """Send an item; on a full channel do what `overflow` says, waiting no longer than `timeout` seconds.

        Raises DeadlineExceeded when the time is up (the item was not sent), ChannelClosed after `close`, ReceiverGone
        after `cancel` or once the receiver's loop is closed, RuntimeError where an event loop would have to wait.
        """
        state, until = self._state, self._until(timeout)
        waiter = None
        placed = True
        with state.lock:
            state.thread_sends = True
            if state.offer(item):
                woken = state.settle() if state.receivers else []
            else:
                woken, waiter = [], state.line_up(self._waiter(sends=True))
        if waiter is not None:
            waited = self._stand_in_line(waiter, until)
            with state.lock:
                state.waited_seconds += waited
                placed = state.use_place(waiter, item)
                woken = state.settle()
        self._wake(woken)
        if state.lost_loop or not placed:
            state.refuse_sending()

    def receive(self, *, timeout: float | timedelta | None = None) -> T:
        """The item that waited longest; waits for one, no longer than `timeout` seconds.

        Raises DeadlineExceeded when the time is up, SenderGone once everything was received and the sender has closed
        or failed or its loop is closed, ChannelClosed after `cancel`, RuntimeError where an event loop would have to
        wait.
        """
        state, until = self._state, self._until(timeout)
        waiter: ThreadWaiter | None = None
        while True:
            with state.lock:
                state.thread_receives = True
                found = state.try_take(waiter) or state.line_up(self._waiter(sends=False), first=waiter is not None)
                woken = state.settle() if state.senders or state.closed else []
            self._wake(woken)
            if isinstance(found, tuple):
                return found[0]
            waiter = found
            self._stand_in_line(waiter, until)

    def __iter__(self) -> BlockingEnd[T]:
        return self

    def __next__(self) -> T:
        try:
            return self.receive()
        except SenderGone as end:
            if end.__cause__ is not None:
                raise
            raise StopIteration from None

    def _waiter(self, *, sends: bool) -> ThreadWaiter:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return ThreadWaiter(sends)
        raise RuntimeError(
            f"{self._state.name}: `blocking` would stop the event loop here; await `send` or `receive` instead"
        )

    def _until(self, timeout: float | timedelta | None) -> float:
        return inf if timeout is None else self._now() + duration(self._state.name, "timeout", timeout)

    def _stand_in_line(self, waiter: ThreadWaiter, until: float) -> float:
        started = self._now()
        try:
            while not waiter.wait(min(_LOOK_SECONDS, until - self._now())):
                if self._state.loop_is_lost():
                    self._lose_loop()
                if self._now() >= until:
                    raise DeadlineExceeded(
                        f"{self._state.name}: nothing moved within {self._now() - started:g} seconds"
                    )
        except BaseException:
            self._leave(waiter)
            raise
        return self._now() - started
