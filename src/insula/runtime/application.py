"""A running system: start, ready, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from insula.adapters.postgres.shown import without_password
from insula.kernel.deadline import without_deadline
from insula.messaging.bus import Bus
from insula.messaging.timers import Retrier
from insula.modules import Assembly, System
from insula.runtime.configuration import Configuration
from insula.runtime.surroundings import Surroundings
from insula.runtime.wiring import Wired, prepare, wire

_log = logging.getLogger("insula.runtime")

_MAINTENANCE_SECONDS = 60.0
_ROWS_AT_ONCE = 1000
_CHUNKS_AT_ONCE = 1000


class Application:
    """One process of a system: its modules on their databases, and the tasks that move messages between them.

    Use it as an asynchronous context manager. Parameters: `configuration` (default: all defaults); `directory`, where
    the files lie (default: that of the configuration); `surroundings`, what it stands on (default: the machine);
    `only`, the names of the modules that run in this process (default: all); `assembly`, the system already assembled.
    Raises on entry `AssemblyError`, `ConfigurationError`, `AlreadyOpen`.
    """

    def __init__(
        self,
        system: System,
        configuration: Configuration | None = None,
        *,
        directory: Path | None = None,
        surroundings: Surroundings | None = None,
        only: Collection[str] | None = None,
        assembly: Assembly | None = None,
    ) -> None:
        self.system = system
        self.configuration = configuration or Configuration()
        self.directory = directory or Path(self.configuration.store.directory)
        self.surroundings = surroundings or Surroundings()
        self.clock = self.surroundings.clock
        self.randomness = self.surroundings.randomness
        self._only = only
        self._put_together = assembly
        self.ready = False
        self._closing = False
        self._entered: list[Any] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._retriers: list[Retrier] = []
        self._wired: Wired | None = None

    @property
    def wired(self) -> Wired:
        """The parts of the running system."""
        if self._wired is None:
            raise RuntimeError("the application is not running; use `async with Application(...)`")
        return self._wired

    @property
    def opened(self) -> bool:
        """Whether the databases are open; it is `ready` a little later."""
        return self._wired is not None

    @property
    def bus(self) -> Bus:
        """Delivers commands and queries."""
        return self.wired.bus

    @property
    def assembly(self) -> Assembly:
        """What the system consists of."""
        return self.wired.assembly

    async def __aenter__(self) -> Self:
        """Open every database, migrate it, pick up what was left, and begin to move messages."""
        wired = wire(
            self.system, self.configuration, self.surroundings, directory=self.directory, only=self._only,
            assembly=self._put_together,
        )  # fmt: skip
        if self.surroundings.after_wiring is not None:
            self.surroundings.after_wiring(wired)
        self._wired = wired
        try:
            for line in await prepare(wired):
                _log.info(line)
            for adapter in wired.bound:
                if hasattr(adapter, "__aenter__"):
                    await adapter.__aenter__()
                    self._entered.append(adapter)
            await wired.start()
        except BaseException:
            await self._close(*sys.exc_info())
            raise
        for timer in wired.timers:
            self._begin(timer.run())
        self._retriers = [Retrier(receiver, self.clock) for receiver in wired.receivers.values()]
        for retrier in self._retriers:
            self._begin(retrier.run())
        for run in wired.runs():
            self._begin(run)
        self._begin(self._maintain())
        self.ready = True
        return self

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        # Whoever starts the system may be in a hurry; what it starts is not.
        task = asyncio.get_running_loop().create_task(work, context=without_deadline())
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """These tasks never end by themselves: without one of them messages stand still, so say it and be unready."""
        if self._closing:
            return
        error = None if task.cancelled() else task.exception()
        _log.critical("%s has ended; restart the process", task.get_coro(), exc_info=error)
        self.ready = False

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Begin no handler any more, let those under way end, save cursors, close every database.

        What has not ended after `drain_seconds` of [http] is cancelled; it is delivered again next time.
        """
        self.ready, self._closing = False, True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        drain_seconds = self.configuration.http.drain_seconds
        landing = [relay.land(drain_seconds) for relay in self.wired.relays]
        landing += [subscriber.land(drain_seconds) for subscriber in self.wired.subscribers]
        landing += [retrier.land(drain_seconds) for retrier in self._retriers]
        await asyncio.gather(*landing)
        endings = [relay.save() for relay in self.wired.relays]
        endings += [publisher.stop() for publisher in self.wired.publishers]
        endings += [subscriber.stop() for subscriber in self.wired.subscribers]
        for ending in endings:
            try:
                await ending
            except Exception as problem:  # what is delivered again finds its mark
                _log.warning("a cursor could not be saved: %s", problem)
        await self._close(kind, error, trace)

    async def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close adapters and what leads to other processes, then databases, each even when another cannot be closed."""
        async with AsyncExitStack() as closing:
            for database in self.wired.databases.values():
                closing.push_async_callback(database.close)
            for adapter in self._entered:
                if hasattr(adapter, "__aexit__"):
                    closing.push_async_callback(adapter.__aexit__, kind, error, trace)
            for outside in (self.surroundings.transport, self.surroundings.neighbours):
                close: Callable[[], Awaitable[None]] | None = getattr(outside, "close", None)
                if close is not None:
                    closing.push_async_callback(close)

    def let_go(self) -> None:
        """Drop everything at once, as the end of the process would; nothing that ran goes on."""
        if self._wired is not None:
            for database in self._wired.databases.values():
                database.let_go()

    async def _maintain(self) -> None:
        """Delete, a little at a time, what nothing can need any more."""
        while True:
            await self.clock.sleep(_MAINTENANCE_SECONDS)
            try:
                await self.maintain()
            except Exception as error:
                _log.warning("maintenance: %s", error)

    async def maintain(self) -> int:
        """One round of pruning; returns how many rows went."""
        store, now, deleted = self.configuration.store, self.clock.now(), 0
        for name, database in self.wired.databases.items():
            marks = {relay.source.name: relay.saved for relay in self.wired.relays if relay.receiver.module == name}
            marks |= {each.source: each.saved for each in self.wired.subscribers if each.receiver.module == name}
            passed = [relay.saved for relay in self.wired.relays if relay.source.name == name]
            passed += [publisher.saved for publisher in self.wired.publishers if publisher.source == name]
            for _ in range(_CHUNKS_AT_ONCE):  # each a commit of its own, so that handlers get their turn in between
                chunk = await database.prune(
                    marks=marks,
                    answers_before=now - timedelta(hours=store.answers_kept_hours),
                    log_below=min(passed, default=0),
                    log_before=now - timedelta(days=store.log_kept_days),
                    limit=_ROWS_AT_ONCE,
                )
                deleted += chunk
                if chunk < _ROWS_AT_ONCE:
                    break
        return deleted

    @property
    def location(self) -> str:
        """Where the modules' data lies, for people."""
        address = self.configuration.store.address
        return without_password(address) if address else str(self.directory)

    def lines(self) -> Sequence[str]:
        """What runs, a line per module."""
        return [f"{name}: {database.location}" for name, database in self.wired.databases.items()]
