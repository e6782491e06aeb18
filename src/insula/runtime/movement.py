"""What moves messages in one process: each work while this process is the one that may do it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from insula.kernel.clock import Clock
from insula.kernel.deadline import without_deadline
from insula.messaging.turns import Key
from insula.runtime.background import Background
from insula.runtime.configuration import Store
from insula.runtime.movable import MovableDatabase
from insula.runtime.sharing import Sharing
from insula.runtime.tenure import LeasedDatabase
from insula.runtime.wiring import Wired
from insula.runtime.work import ModulesWork, ShareWork, Work

_log = logging.getLogger("insula.runtime")

Value = TypeVar("Value")
Within = Callable[[Coroutine[Any, Any, Value]], Awaitable[Value]]


class Movement:
    """All of it, from `begin` to `end`.

    Parameters: `holder`, the name of this process among others with the same modules, empty where there are none;
    `ready`, told whether what moves messages runs, as far as it should.
    """

    def __init__(
        self, wired: Wired, store: Store, clock: Clock, holder: str, ready: Callable[[bool], None]
    ) -> None:  # fmt: skip
        self._clock = clock
        self._ready = ready
        self._modules = ModulesWork(wired, store, clock)
        self._shares = [ShareWork(wired, share, clock) for share in range(wired.shares)]
        works: list[Work] = [self._modules, *self._shares]
        self._backgrounds = [Background(work, partial(self._broken, number)) for number, work in enumerate(works)]
        self._are_broken: set[int] = set()
        self._sharing: Sharing | None = None
        self._running: asyncio.Task[None] | None = None
        if holder:
            self._stand_by(wired, holder)

    def _stand_by(self, wired: Wired, holder: str) -> None:
        """Do each work only while no other process that runs these modules does."""
        # Not `isinstance`: what is passed on to another database is no attribute of the class.
        leased = {name: each for name, each in wired.databases.items() if hasattr(each, "leases")}
        databases = cast("dict[str, LeasedDatabase]", leased)

        async def begin(number: int) -> None:
            await self._backgrounds[number].begin()
            self._are_broken.discard(number)
            self._ready(not self._are_broken)  # also where what was begun before has ended by itself

        async def end(number: int, seconds: float) -> None:
            await self._backgrounds[number].end(seconds)

        if not databases:  # all of the data was moved to files, which one process may open
            return
        kind = _kind_of(wired)
        self._sharing = Sharing(databases, holder, self._clock, wired.shares, begin, end, kind=kind)
        for subscriber in wired.subscribers:
            subscriber.on_unknown = self._sharing.fall_behind
        for database in wired.databases.values():
            if isinstance(database, MovableDatabase):
                database.on_moved.append(self._sharing.look)

    async def begin(self) -> None:
        """Move messages from now on; where there are others, as soon as it is our turn.

        When it returns, nothing that is appended is missed, whoever delivers it.
        """
        if self._sharing is not None:
            await self._modules.settle()
            self._running = asyncio.get_running_loop().create_task(self._sharing.run(), context=without_deadline())
            self._running.add_done_callback(self._over)
            return
        try:
            for background in self._backgrounds:
                await background.begin()
        except BaseException:
            for background in self._backgrounds:
                await background.end(0.0)
            raise

    def _over(self, running: asyncio.Task[None]) -> None:
        """That never ends by itself: without it nobody knows whose turn it is."""
        if not running.cancelled():
            _log.critical("sharing has ended; restart the process", exc_info=running.exception())
            self._ready(False)

    def _broken(self, number: int) -> None:
        """Messages stand still here, and another process may move them."""
        self._are_broken.add(number)
        self._ready(False)
        if self._sharing is not None:
            self._sharing.in_trouble()
            self._sharing.tenures[number].give_up()

    @property
    def runs(self) -> bool:
        """Whether this process is the one of those with these modules that does all but the shares."""
        return self._backgrounds[0].runs

    @property
    def shares(self) -> Sequence[int]:
        """The shares of what the broker brings that this process moves."""
        return [number for number, background in enumerate(self._backgrounds[1:]) if background.runs]

    def taker_of(self, module: str, key: Key) -> Within[Any] | None:
        """Within what to do something with a key of a module; None where another process takes its messages."""
        for number, background in enumerate(self._backgrounds):
            if background.runs and background.work.owns(module, key):
                return _at_once if self._sharing is None else self._sharing.tenures[number].within
        return None

    async def maintain(self) -> int:
        """One round of upkeep; returns how many rows went."""
        for share in self.shares:
            await self._within(share + 1, self._shares[share].vouch())
        return await self._within(0, self._modules.maintain())

    async def _within(self, number: int, work: Coroutine[Any, Any, Value]) -> Value:
        return await (work if self._sharing is None else self._sharing.tenures[number].within(work))

    async def end(self, seconds: float) -> None:
        """Begin no handler any more, let those under way end for so long, save cursors, give leases back."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        endings = [background.end(seconds) for background in self._backgrounds]
        await asyncio.gather(*(self._within(number, ending) for number, ending in enumerate(endings)))
        if self._sharing is not None:
            await self._sharing.release()


def _kind_of(wired: Wired) -> str:
    """What tells versions apart that must not work beside each other: each renames consumers for itself."""
    renamed = sorted(each for receiver in wired.receivers.values() for each in receiver.renamed)
    return hashlib.sha256("\n".join(renamed).encode()).hexdigest()[:12] if renamed else ""


async def _at_once(work: Coroutine[Any, Any, Value]) -> Value:
    return await work
