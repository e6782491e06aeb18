"""What both ways of using a channel can do without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from insula.streams.counters import Counters
from insula.streams.state import ChannelState, Waiter
from insula.streams.waiting import LoopWaiter, ThreadWaiter

T = TypeVar("T")


class ChannelEnd(Generic[T]):
    """Closing, failing, cancelling and counting: the same for tasks and for threads."""

    __slots__ = ("_now", "_state")

    def __init__(self, state: ChannelState[T], now: Callable[[], float]) -> None:
        self._state = state
        self._now = now

    def close(self, *, discard: bool = False) -> None:
        """Say that nothing more will be sent. What waits is still received, unless `discard` drops it.

        Whoever sends now gets `ChannelClosed`; receivers get `SenderGone` when they have everything.
        """
        with self._state.lock:
            woken = self._state.close(None, discard=discard)
        self._wake(woken, _here())

    def fail(self, error: BaseException) -> None:
        """As `close`, for a sender that cannot go on: receivers get `SenderGone` with `error` as its cause."""
        with self._state.lock:
            woken = self._state.close(error, discard=False)
        self._wake(woken, _here())

    def cancel(self) -> None:
        """Say that nothing more will be received. What waits is dropped; whoever sends gets `ReceiverGone`."""
        with self._state.lock:
            woken = self._state.cancel()
        self._wake(woken, _here())

    def counters(self) -> Counters:
        """What passed until now."""
        state = self._state
        with state.lock:
            depth = len(state.items)
            entered = state.received + state.dropped + depth
            blocked = len(state.senders)
            return Counters(state.name, entered, state.received, state.dropped, depth, state.waited_seconds, blocked)

    def _wake(self, woken: list[Waiter], here: asyncio.AbstractEventLoop | None = None) -> None:
        for waiter in woken:
            if isinstance(waiter, ThreadWaiter) or here is self._state.loop:
                waiter.wake()
            else:
                self._wake_on_the_loop(waiter)

    def _wake_on_the_loop(self, waiter: LoopWaiter) -> None:
        # To interrupt a loop is a system call: all who are woken before it has come round share one.
        with self._state.lock:
            loop = self._state.loop
            self._state.landing.append(waiter)
            if len(self._state.landing) > 1:
                return
        try:
            loop.call_soon_threadsafe(self._land)
        except RuntimeError:  # the loop is closed
            self._lose_loop()

    def _land(self) -> None:
        with self._state.lock:
            landed = list(self._state.landing)
            self._state.landing.clear()
        for waiter in landed:
            waiter.wake()

    def _lose_loop(self) -> None:
        with self._state.lock:
            woken = self._state.lose_loop()
        self._wake(woken)

    def _leave(self, waiter: Waiter, here: asyncio.AbstractEventLoop | None = None) -> None:
        with self._state.lock:
            self._state.leave(waiter)
            woken = self._state.settle()
        self._wake(woken, here)


def _here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
