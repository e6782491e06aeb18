"""A running system: start, ready, drain, stop."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from insula.adapters.postgres.shown import for_each_module
from insula.messaging.bus import Bus
from insula.modules import Assembly, System
from insula.runtime.configuration import Configuration
from insula.runtime.extraction.extractions import Extractions
from insula.runtime.movement import Movement
from insula.runtime.surroundings import Surroundings
from insula.runtime.wiring import Wired, prepare, wire

_log = logging.getLogger("insula.runtime")
_NOT_RUNNING = "the application is not running; use `async with Application(...)`"


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
        self._entered: list[Any] = []
        self._wired: Wired | None = None
        self._movement: Movement | None = None
        self._extractions: Extractions | None = None

    @property
    def wired(self) -> Wired:
        """The parts of the running system."""
        if self._wired is None:
            raise RuntimeError(_NOT_RUNNING)
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
        self._extractions = Extractions(
            {module.name: module for module in wired.modules}, wired.databases, self.configuration.store,
            self.surroundings, self.directory,
        )  # fmt: skip
        store, holder = self.configuration.store, self.surroundings.holder
        movement = self._movement = Movement(wired, store, self.clock, holder, self._told)
        try:
            for line in await prepare(wired):
                _log.info(line)
            for adapter in wired.bound:
                if hasattr(adapter, "__aenter__"):
                    await adapter.__aenter__()
                    self._entered.append(adapter)
            await movement.begin()
        except BaseException:
            await self._close(*sys.exc_info())
            raise
        self.ready = True
        return self

    def _told(self, ready: bool) -> None:
        self.ready = ready

    @property
    def extractions(self) -> Extractions:
        """Moves the data of modules."""
        if self._extractions is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._extractions

    @property
    def moves_messages(self) -> bool:
        """Whether this process is the one of those with these modules that moves what is not shared."""
        return self._movement is not None and self._movement.runs

    @property
    def movement(self) -> Movement:
        """What moves messages in this process."""
        if self._movement is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._movement

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Begin no handler any more, let those under way end, save cursors, close every database.

        What has not ended after `drain_seconds` of [http] is cancelled; it is delivered again next time.
        """
        self.ready = False
        await self.extractions.close()
        await self.movement.end(self.configuration.http.drain_seconds)
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

    async def maintain(self) -> int:
        """One round of pruning; returns how many rows went."""
        return await self.movement.maintain()

    @property
    def location(self) -> str:
        """Where the modules' data lies, for people."""
        address = self.configuration.store.address
        return for_each_module(address) if address else str(self.directory)

    def lines(self) -> Sequence[str]:
        """What runs, a line per module."""
        return [f"{name}: {database.location}" for name, database in self.wired.databases.items()]
