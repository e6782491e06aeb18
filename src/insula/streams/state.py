"""What a channel holds and who waits at it: every decision, and nobody who waits here.

Who finds neither room nor item stands in line and is woken with a place or an item kept for it (`granted`), so that
nobody is overtaken, and a cancelled one gives back what it got. Methods expect that the caller holds `lock`, where the
channel is `guarded`, and that it wakes whom they name after letting go of it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from threading import get_ident
from typing import Any, Generic, TypeVar, cast

from insula.streams.errors import ChannelClosed, ChannelFull, ReceiverGone, SenderGone
from insula.streams.overflow import Overflow, make_room
from insula.streams.waiting import LoopWaiter, ThreadWaiter

T = TypeVar("T")
Waiter = LoopWaiter | ThreadWaiter
AnyWaiter = TypeVar("AnyWaiter", LoopWaiter, ThreadWaiter)


class _NoLoop:
    """Stands where no loop has come yet, and answers as one that is closed."""

    def is_closed(self) -> bool:
        return True


_NO_LOOP = cast("asyncio.AbstractEventLoop", _NoLoop())


class ChannelState(Generic[T]):
    """The buffer, the two lines, and how far somebody may go without looking at them.

    Whoever finds fewer items than `limit` may add one: that is the size, or zero while a place is kept for a woken
    sender (`granted` counts those), who must not be overtaken, and once the channel has ended. Whoever finds more than
    `promised` may take one: that many are kept for woken receivers. As long as one loop alone uses an open channel
    whose senders wait, it goes without the lock; `guarded` says that it may not.
    """

    __slots__ = (
        *("lock", "name", "size", "overflow", "items", "limit", "granted", "promised", "senders", "receivers"),
        *("ended", "closed", "cancelled", "failure", "lost_loop", "received", "dropped", "waited_seconds"),
        *("shared", "guarded", "loop", "loop_thread", "loop_sends", "loop_receives"),
        *("thread_sends", "thread_receives", "landing", "__weakref__"),
    )

    def __init__(self, name: str, size: int, overflow: Overflow) -> None:
        self.name, self.size, self.overflow = name, size, overflow
        self.shared = self.ended = self.closed = self.cancelled = self.lost_loop = False
        self.failure: BaseException | None = None
        self.items: deque[T] = deque()
        self.senders: deque[Waiter] = deque()
        self.receivers: deque[Waiter] = deque()
        self.landing: list[LoopWaiter] = []
        self.begin_anew()
        _living.add(self)

    def begin_anew(self) -> None:
        """Forget items, waiters and counts, as after a fork: all of them belong to the parent."""
        self.lock = threading.Lock()
        for held in (self.items, self.senders, self.receivers, self.landing):
            held.clear()
        self.limit = 0 if self.ended else self.size
        self.granted = self.promised = self.received = self.dropped = 0
        self.waited_seconds = 0.0
        self.loop: asyncio.AbstractEventLoop = _NO_LOOP
        self.loop_thread = 0
        self.loop_sends = self.loop_receives = self.thread_sends = self.thread_receives = False
        self.guarded = True

    def join(self, loop: asyncio.AbstractEventLoop, *, sends: bool) -> None:
        """Note who comes from which loop. Raises RuntimeError for a second loop while the first one lives."""
        if self.loop is not loop:
            if not self.loop.is_closed():
                raise RuntimeError(
                    f"{self.name}: used from two event loops; `await` belongs to one, others take `blocking`"
                )
            self._forget_waiters_of_the_loop()
            self.loop = loop
            self.loop_sends = self.loop_receives = False
            self.guarded = self.shared or self.ended or self.overflow is not Overflow.BLOCK
        self.loop_thread = get_ident()
        if sends:
            self.loop_sends = True
        else:
            self.loop_receives = True

    def is_elsewhere(self) -> bool:
        """Whether this is not the loop that used the channel last: that one is closed, or lives on another thread."""
        # To ask for the running loop costs a system call on some versions of Python.
        return get_ident() != self.loop_thread or not self.loop.is_running()

    def share(self) -> None:
        """From now on threads take part. Raises RuntimeError on another thread while a loop goes without the lock."""
        if not self.shared and not self.loop.is_closed() and self.loop_thread != get_ident():
            raise RuntimeError(
                f"{self.name}: a thread took `blocking` of a channel that an event loop uses already; "
                "take it before, or on the loop, and hand it to the thread"
            )
        self.shared = self.guarded = True

    def offer(self, item: T) -> bool:
        """Place the item as the strategy says; False where the sender has to wait."""
        self.refuse_sending()
        if len(self.items) < self.limit:
            self.items.append(item)
        elif self.overflow is Overflow.BLOCK:
            return False
        elif self.overflow is Overflow.FAIL:
            raise ChannelFull(
                f"{self.name}: all {self.size} places are taken; send later, or choose another `overflow`"
            )
        else:
            self.dropped += len(make_room(self.overflow, self.items, item))
        return True

    def line_up(self, waiter: AnyWaiter, *, first: bool = False) -> AnyWaiter:
        """Let somebody wait, at the end of its line or, if it was woken in vain, at the front again."""
        line = self.senders if waiter.sends else self.receivers
        if first:
            line.appendleft(waiter)
        else:
            line.append(waiter)
        return waiter

    def use_place(self, waiter: Waiter, item: T) -> bool:
        """Put a woken sender's item where a place was kept; False if the channel ended instead."""
        self._give_back(waiter)
        if self.ended:
            return False
        self.items.append(item)
        return True

    def try_take(self, waiter: Waiter | None) -> tuple[T] | None:
        """An item that is kept for this woken receiver or for nobody; None where there is none yet.

        Raises as `refuse_receiving` does where none will come.
        """
        kept = waiter is not None and waiter.granted
        if waiter is not None:
            self._give_back(waiter)
        # KEEP_LATEST may have dropped what was kept for others: the first to wake takes what is there.
        if self.items and (kept or len(self.items) > self.promised):
            self.received += 1
            return (self.items.popleft(),)
        self.refuse_receiving()
        return None

    def leave(self, waiter: Waiter) -> None:
        """Take out somebody who waits no longer, and give back what was kept for it."""
        line = self.senders if waiter.sends else self.receivers
        if not waiter.granted and waiter in line:
            line.remove(waiter)
        self._give_back(waiter)

    def close(self, failure: BaseException | None, *, discard: bool) -> list[Waiter]:
        """The sending side ends; returns whom to wake."""
        if not self.closed:
            self.closed, self.failure = True, failure
        self._end()
        if discard:
            self._discard()
        return self._release(self.senders) + self.settle()

    def cancel(self) -> list[Waiter]:
        """The receiving side ends; returns whom to wake."""
        self.cancelled = True
        self._end()
        self._discard()
        return self._release(self.senders) + self._release(self.receivers)

    def lose_loop(self) -> list[Waiter]:
        """The loop was closed: its waiters never run again, and a side that only it used is gone."""
        self._forget_waiters_of_the_loop()
        woken: list[Waiter] = []
        if self.loop_receives and not self.thread_receives and not self.cancelled:
            self.lost_loop = True
            woken += self.cancel()
        if self.loop_sends and not self.thread_sends and not self.closed:
            woken += self.close(RuntimeError(f"{self.name}: the event loop of the sender is closed"), discard=False)
        return woken + self.settle()

    def loop_is_lost(self) -> bool:
        """Whether a loop took part and was closed since."""
        return (self.loop_sends or self.loop_receives) and self.loop.is_closed()

    def settle(self) -> list[Waiter]:
        """Keep places and items for those in line, first come first; returns whom to wake. After every change."""
        woken: list[Waiter] = []
        while self.senders and len(self.items) + self.granted < self.size:
            woken.append(self.grant_next_sender())
        while self.receivers and len(self.items) > self.promised:
            woken.append(self.grant_next_receiver())
        if self.closed and not self.items:
            woken += self._release(self.receivers)
        return woken

    def grant_next_sender(self) -> Waiter:
        """Keep a place for the sender who waits longest."""
        self.granted += 1
        self.limit = 0
        waiter = self.senders.popleft()
        waiter.granted = True
        return waiter

    def grant_next_receiver(self) -> Waiter:
        """Keep an item for the receiver who waits longest."""
        self.promised += 1
        waiter = self.receivers.popleft()
        waiter.granted = True
        return waiter

    def refuse_sending(self) -> None:
        """Raise if nothing can be sent any more."""
        if self.closed:
            raise ChannelClosed(f"{self.name}: sent to after it was closed; close it once the last item is sent")
        if self.cancelled:
            why = "its event loop is closed" if self.lost_loop else "it cancelled"
            raise ReceiverGone(f"{self.name}: the receiving side is gone ({why}); stop sending")

    def refuse_receiving(self) -> None:
        """Raise if nothing can be received any more."""
        if self.cancelled:
            raise ChannelClosed(f"{self.name}: received from after it was cancelled; nothing is kept for you")
        if self.closed and not self.items:
            failed = f"the sender failed: {self.failure!r}" if self.failure else "the sender closed it"
            raise SenderGone(f"{self.name}: {failed}, and all it sent was received") from self.failure

    def _give_back(self, waiter: Waiter) -> None:
        if not waiter.granted:
            return
        waiter.granted = False
        if not waiter.sends:
            self.promised -= 1
            return
        self.granted -= 1
        if not self.granted and not self.ended:
            self.limit = self.size

    def _forget_waiters_of_the_loop(self) -> None:
        for waiter in [*self.landing, *self.senders, *self.receivers]:
            if isinstance(waiter, LoopWaiter):
                self.leave(waiter)
        self.landing.clear()

    def _end(self) -> None:
        self.ended = self.guarded = True
        self.limit = 0

    def _discard(self) -> None:
        self.dropped += len(self.items)
        self.items.clear()

    @staticmethod
    def _release(line: deque[Waiter]) -> list[Waiter]:
        released = list(line)
        line.clear()
        return released


_living: weakref.WeakSet[ChannelState[Any]] = weakref.WeakSet()


def _begin_anew_in_child() -> None:
    for state in list(_living):
        state.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
