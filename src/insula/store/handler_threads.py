"""The worker threads of `def` handlers: how they are begun, left and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

Value = TypeVar("Value")

_THREADS = 8


class HandlerThreads:
    """A few threads of one database. A thread cannot be stopped, so whoever leaves one leaves it running.

    Parameters: `name` of the threads.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)
        self._running: set[asyncio.Future[Any]] = set()

    def begin(self, body: Callable[[Any], Value], unit: object, place: str) -> asyncio.Future[Value]:
        """Run `body(unit)` on a thread, where deadline and process are those of the caller."""
        in_context = copy_context().run
        return asyncio.get_running_loop().run_in_executor(
            self._executor, in_context, _without_stop_iteration, body, unit, place
        )

    async def or_leave(self, work: asyncio.Future[Value]) -> Value:
        """Wait for what happens on a thread, unless cancelled: then only `ended` waits for it."""
        self._note(work)
        return await asyncio.shield(work)

    async def until_over(self, work: asyncio.Future[Value]) -> Value:
        """Wait for a unit's thread also when cancelled: it may be using the connection."""
        cancelled: asyncio.CancelledError | None = None
        self._note(work)
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        return work.result()

    def _note(self, work: asyncio.Future[Any]) -> None:
        self._running.add(work)
        work.add_done_callback(self._running.discard)

    async def ended(self) -> None:
        """Wait for all that run. They need the loop to be told that it is over, so it must not block on them."""
        if self._running:
            await asyncio.wait(self._running)

    def close(self) -> None:
        """End the threads."""
        self._executor.shutdown()


def _without_stop_iteration(body: Callable[[Any], Value], unit: object, place: str) -> Value:
    """Run a body on a thread. The loop's futures carry any error but this one: whoever waits would wait for ever."""
    try:
        return body(unit)
    except StopIteration as error:
        raise RuntimeError(f"{place} raised StopIteration; give next() a default") from error
