"""A bounded channel between tasks, and between tasks and threads."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from insula.kernel.clock import Clock
from insula.streams.blocking import BlockingEnd
from insula.streams.end import ChannelEnd
from insula.streams.errors import ChannelFull, SenderGone
from insula.streams.overflow import Overflow
from insula.streams.parameters import clock_of, strategy, whole_number
from insula.streams.state import ChannelState
from insula.streams.waiting import LoopWaiter

T = TypeVar("T")


class Channel(ChannelEnd[T]):
    """A bounded channel; `await send(item)` on one side, `await receive()` or `async for` on the other.

    Threads use `blocking`, on either side. Order is kept; who waits first is served first. A cancelled `send` has sent
    nothing, a cancelled `receive` has taken nothing. In a forked child the channel begins empty. `await` belongs to one
    event loop: a second one that lives at the same time gets a RuntimeError, at the latest where it would have to wait
    or to wake somebody, and takes part through `blocking`, on a thread.

    Parameters: `size`, the most items that ever wait in it; `overflow`, what happens when it is full (default: the
    sender waits); `name`, for errors and counters; `clock`, measures waiting (default: that of the process).
    Raises TypeError or ValueError for a size that is no count of at least one.
    """

    __slots__ = ()

    def __init__(
        self, size: int, *, overflow: Overflow = Overflow.BLOCK, name: str = "channel", clock: Clock | None = None
    ) -> None:
        size, overflow = whole_number("Channel", "size", size), strategy("Channel", overflow)
        super().__init__(ChannelState(name, size, overflow), clock_of(clock).monotonic)

    @property
    def blocking(self) -> BlockingEnd[T]:
        """The same channel for threads.

        Raises RuntimeError on another thread once a loop uses the channel: take it before, and hand it to the thread.
        """
        with self._state.lock:
            self._state.share()
        return BlockingEnd(self._state, self._now)

    async def send(self, item: T) -> None:
        """Send an item; on a full channel do what `overflow` says.

        Raises ChannelClosed after `close`, ReceiverGone after `cancel`, ChannelFull where `overflow` is FAIL.
        """
        state = self._state
        if state.guarded or len(state.items) >= state.limit or (state.receivers and state.is_elsewhere()):
            if state.guarded or state.is_elsewhere():
                waiter = self._send_or_line_up(item)
                if waiter is None:
                    return
            else:
                waiter = LoopWaiter(state.loop, True)
                state.senders.append(waiter)
            started = self._now()
            try:
                await waiter.future
            except BaseException:
                self._leave(waiter, state.loop)
                raise
            finally:
                state.waited_seconds += self._now() - started
            if state.guarded:
                self._use_place(waiter, item)
                return
            waiter.granted = False
            state.granted -= 1
            if not state.granted:
                state.limit = state.size
        state.items.append(item)
        if state.receivers:
            state.grant_next_receiver().wake()
        if state.senders:
            self._wake(state.settle(), state.loop)

    def send_nowait(self, item: T) -> None:
        """Send an item from a callback on the loop; raises ChannelFull where `send` would wait.

        Raises RuntimeError on a thread without an event loop, which uses `blocking`.
        """
        state = self._state
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                f"{state.name}: send_nowait is for callbacks on the event loop, and none runs on this thread; take "
                "`end = channel.blocking` on the loop, or before it begins, and call `end.send(item)` on the thread"
            ) from None
        with state.lock:
            state.join(here, sends=True)
            if not state.offer(item):
                raise ChannelFull(f"{state.name}: all {state.size} places are taken, and send_nowait does not wait")
            woken = state.settle()
        self._wake(woken, here)

    async def receive(self) -> T:
        """The item that waited longest; waits for one.

        Raises SenderGone once everything was received and the sender has closed or failed, ChannelClosed after
        `cancel`.
        """
        state = self._state
        waiter: LoopWaiter | None = None
        while state.guarded or len(state.items) <= state.promised or (state.senders and state.is_elsewhere()):
            if state.guarded or state.is_elsewhere():
                found = self._take_or_line_up(waiter)
                if isinstance(found, tuple):
                    return found[0]
                waiter = found
            else:
                waiter = LoopWaiter(state.loop, False)
                state.receivers.append(waiter)
            try:
                await waiter.future
            except BaseException:
                self._leave(waiter, state.loop)
                raise
            if not state.guarded:
                waiter.granted = False
                state.promised -= 1
                waiter = None
        state.received += 1
        item = state.items.popleft()
        if state.senders:
            state.grant_next_sender().wake()
        return item

    def __aiter__(self) -> Channel[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.receive()
        except SenderGone as end:
            if end.__cause__ is not None:
                raise
            raise StopAsyncIteration from None

    def _send_or_line_up(self, item: T) -> LoopWaiter | None:
        state, here = self._state, asyncio.get_running_loop()
        with state.lock:
            state.join(here, sends=True)
            if not state.offer(item):
                return state.line_up(LoopWaiter(here, True))
            woken = state.settle()
        self._wake(woken, here)
        return None

    def _use_place(self, waiter: LoopWaiter, item: T) -> None:
        state = self._state
        with state.lock:
            placed = state.use_place(waiter, item)
            woken = state.settle()
        self._wake(woken, state.loop)
        if not placed:
            state.refuse_sending()

    def _take_or_line_up(self, waiter: LoopWaiter | None) -> tuple[T] | LoopWaiter:
        state, here = self._state, asyncio.get_running_loop()
        with state.lock:
            state.join(here, sends=False)
            found = state.try_take(waiter) or state.line_up(LoopWaiter(here, False), first=waiter is not None)
            woken = state.settle()
        self._wake(woken, here)
        return found
