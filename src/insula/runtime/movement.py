"""What moves messages in one process: each work while this process is the one that may do it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from insula.kernel.clock import Clock
from insula.kernel.deadline import without_deadline
from insula.messaging.turns import Key
from insula.runtime.background import Background
from insula.runtime.configuration import Store
from insula.runtime.sharing import Sharing
from insula.runtime.tenure import LeasedDatabase, Tenure
from insula.runtime.wiring import Wired
from insula.runtime.work import ModulesWork, ShareWork, Work

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
        self._tenures: list[Tenure] = []
        self._sharing: Sharing | None = None
        self._running: list[asyncio.Task[None]] = []
        if holder:
            self._stand_by(wired, holder)

    def _stand_by(self, wired: Wired, holder: str) -> None:
        """Do each work only while no other process that runs these modules does."""
        # Not `isinstance`: what is passed on to another database is no attribute of the class.
        leased = {name: each for name, each in wired.databases.items() if hasattr(each, "leases")}
        databases = cast("dict[str, LeasedDatabase]", leased)

        async def begin(number: int) -> None:
            await self._backgrounds[number].begin()
            self._ready(True)  # also where what was begun before has ended by itself

        async def end(number: int, seconds: float) -> None:
            await self._backgrounds[number].end(seconds)

        tenure = Tenure(databases, holder, self._clock, partial(begin, 0), partial(end, 0))
        sharing = Sharing(
            databases, holder, self._clock, wired.shares,
            lambda share: begin(share + 1), lambda share, seconds: end(share + 1, seconds),
        )  # fmt: skip

        def fall_behind() -> None:
            tenure.give_way()
            sharing.fall_behind()

        for subscriber in wired.subscribers:
            subscriber.on_unknown = fall_behind
        self._tenures, self._sharing = [tenure, *sharing.tenures], sharing

    async def begin(self) -> None:
        """Move messages from now on; where there are others, as soon as it is our turn.

        When it returns, nothing that is appended is missed, whoever delivers it.
        """
        if self._sharing is None:
            for background in self._backgrounds:
                await background.begin()
            return
        await self._modules.settle()
        runs = [self._tenures[0].run()]
        if self._shares:
            runs.append(self._sharing.run())
        loop = asyncio.get_running_loop()
        self._running = [loop.create_task(run, context=without_deadline()) for run in runs]

    def _broken(self, number: int) -> None:
        """Messages stand still here, and another process may move them."""
        self._ready(False)
        if self._tenures:
            self._tenures[number].give_up()

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
                return self._tenures[number].within if self._tenures else _at_once
        return None

    async def maintain(self) -> int:
        """One round of upkeep; returns how many rows went."""
        for share in self.shares:
            await self._shares[share].vouch()
        return await self._modules.maintain()

    async def end(self, seconds: float) -> None:
        """Begin no handler any more, let those under way end for so long, save cursors, give leases back."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        endings = [background.end(seconds) for background in self._backgrounds]
        if self._sharing is None:
            await asyncio.gather(*endings)
            return
        await asyncio.gather(*(tenure.within(end) for tenure, end in zip(self._tenures, endings, strict=True)))
        await self._tenures[0].release()
        await self._sharing.release()


async def _at_once(work: Coroutine[Any, Any, Value]) -> Value:
    return await work
