"""Where a flow begins: iterables, async iterables, subscriptions, and functions that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any

from insula.kernel.errors import Failure
from insula.streams.blocking import BlockingEnd
from insula.streams.channel import Channel
from insula.streams.delivery import Delivery, Element, Receipt
from insula.streams.errors import ReceiverGone, SenderGone
from insula.streams.stage import Position, Signal, Stage

_PULLS_PER_TURN = 64
"""How often a plain iterable is pulled before other tasks get a turn: it never suspends by itself."""

_END = object()
NO_RECEIPTS: tuple[Receipt, ...] = ()


class Runs:
    """Whether a source that can be iterated once only was used by a run before."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used = False

    def begin(self, source: object, iterator: object) -> None:
        """One more run. Raises RuntimeError where the source is its own iterator and another run had it."""
        if iterator is source and self._used:
            raise RuntimeError(
                f"Flow: its source, {source!r}, can be iterated once only, and another run has begun to; make a new "
                "source and a new Flow for each run, or give a list or another iterable that begins anew"
            )
        self._used = True


class IterableSource(Stage[Any]):
    """Pulls from a plain iterable, which must not block."""

    def __init__(self, position: Position, source: Iterable[Any], runs: Runs) -> None:
        super().__init__(position)
        self._source, self._runs = source, runs
        self._iterator: Iterator[Any] | None = None
        self._turn = 0

    async def pull(self) -> Element[Any]:
        """The next item."""
        self._turn += 1
        if self._turn % _PULLS_PER_TURN == 0:
            await asyncio.sleep(0)
        try:
            if self._iterator is None:
                iterator = iter(self._source)
                self._runs.begin(self._source, iterator)
                self._iterator = iterator
            value = next(self._iterator, _END)
        except Exception as error:
            self.explain(error)
            raise
        if value is _END:
            raise StopAsyncIteration
        self.tally.entered += 1
        self.tally.left += 1
        return value, NO_RECEIPTS

    async def release(self) -> list[BaseException]:
        """Close a generator, so that it cleans up now."""
        close = getattr(self._iterator, "close", None)
        try:
            if close is not None:
                close()
        except Exception as error:
            return [error]
        return []


class AsyncSource(Stage[Any]):
    """Pulls from an async iterable."""

    def __init__(self, position: Position, source: AsyncIterable[Any], runs: Runs) -> None:
        super().__init__(position)
        self._source, self._runs = source, runs
        self._iterator: AsyncIterator[Any] | None = None

    async def pull(self) -> Element[Any]:
        """The next item."""
        try:
            if self._iterator is None:
                iterator = aiter(self._source)
                self._runs.begin(self._source, iterator)
                self._iterator = iterator
            value = await anext(self._iterator)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.explain(error)
            raise
        self.tally.entered += 1
        self.tally.left += 1
        return value, self.receipts(value)

    def receipts(self, value: Any) -> tuple[Receipt, ...]:
        """What is owed for it: nothing."""
        return NO_RECEIPTS

    async def release(self) -> list[BaseException]:
        """Close an async generator, so that it cleans up now."""
        close = getattr(self._iterator, "aclose", None)
        try:
            if close is not None:
                await close()
        except Exception as error:
            return [error]
        return []


class SubscriptionSource(AsyncSource):
    """Pulls deliveries, with no more than so many in flight: pulled, and not acknowledged yet."""

    def __init__(self, position: Position, source: AsyncIterable[Delivery], runs: Runs, in_flight: int) -> None:
        super().__init__(position, source, runs)
        self._free = in_flight
        self._settled = Signal()

    async def pull(self) -> Element[Any]:
        """Wait until one may be in flight, then for a delivery."""
        started = self.clock.monotonic()
        while self._free == 0:
            await self._settled.wait()
        self.tally.waited_seconds += self.clock.monotonic() - started
        return await super().pull()

    def receipts(self, value: Any) -> tuple[Receipt, ...]:
        """An acknowledgement."""
        self._free -= 1
        return (Receipt(value, self._settle),)

    def _settle(self) -> None:
        self._free += 1
        self._settled.set()


class ThreadSource(Stage[Any]):
    """Iterates on a thread of its own, at most so many items ahead."""

    def __init__(self, position: Position, function: Callable[[], Iterable[Any]], ahead: int) -> None:
        super().__init__(position)
        self._function = function
        self._channel = Channel[Any](ahead, name=position.name, clock=position.clock)
        self._started = False

    async def pull(self) -> Element[Any]:
        """The next item that the thread sent."""
        if not self._started:
            self._started = True
            # A daemon: a thread that blocks cannot be stopped, and must not keep the program from ending.
            threading.Thread(
                target=copy_context().run,
                args=(_send_all, self._function, self._channel.blocking),
                name=f"insula flow: {self.name}",
                daemon=True,
            ).start()
        try:
            value = await self._channel.receive()
        except SenderGone as end:
            if end.__cause__ is None:
                raise StopAsyncIteration from None
            if not isinstance(end.__cause__, Exception):
                raise Failure(f"stage {self.name} of a flow: its thread was ended") from end.__cause__
            self.explain(end.__cause__)
            raise end.__cause__ from None
        self.tally.entered += 1
        self.tally.left += 1
        return value, NO_RECEIPTS

    async def release(self) -> list[BaseException]:
        """Let the thread end at its next item."""
        self._channel.cancel()
        return []


def _send_all(function: Callable[[], Iterable[Any]], end: BlockingEnd[Any]) -> None:
    try:
        items = function()
        try:
            for item in items:
                if not _sent(end, item):
                    return
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
    except BaseException as error:
        end.fail(error)
    else:
        end.close()


def _sent(end: BlockingEnd[Any], item: Any) -> bool:
    # Only here does it mean that the flow has ended: a function may have channels of its own.
    try:
        end.send(item)
    except ReceiverGone:
        return False
    return True
