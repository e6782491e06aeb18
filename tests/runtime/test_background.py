"""The end of what moves messages: it lands what is on its way, also for who was cancelled in the middle of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from insula.messaging.turns import Key
from insula.runtime.background import Background


class FakeWork:
    """Runs until it is cancelled, and lands when it is let."""

    def __init__(self) -> None:
        self.lands = asyncio.Event()
        self.landed = self.saved = 0

    async def start(self) -> None:
        """Nothing was left."""

    def runs(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._run()]

    async def _run(self) -> None:
        await asyncio.Event().wait()

    async def land(self, seconds: float) -> None:
        await self.lands.wait()
        self.landed += 1

    async def stop(self) -> None:
        self.saved += 1

    def owns(self, module: str, key: Key) -> bool:
        return True


async def test_who_ends_it_again_after_being_cancelled_lands_what_is_on_its_way() -> None:
    work = FakeWork()
    background = Background(work, lambda: None)
    await background.begin()
    losing = asyncio.create_task(background.end(0.0))  # the lease is lost, and then the process is stopped
    await asyncio.sleep(0)
    losing.cancel()
    await asyncio.wait([losing])
    work.lands.set()
    await background.end(1.0)
    await background.end(1.0)
    assert (work.landed, work.saved, background.runs) == (1, 1, False)
