"""The end of what moves messages: it lands what is on its way, also for who was cancelled in the middle of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from insula.runtime.background import Background
from insula.runtime.configuration import Configuration
from insula.testing import VirtualClock


class FakeRelay:
    """Runs until it is cancelled, and lands when it is let."""

    def __init__(self) -> None:
        self.lands = asyncio.Event()
        self.landed = self.saved = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def land(self, seconds: float) -> None:
        await self.lands.wait()
        self.landed += 1

    async def save(self) -> None:
        self.saved += 1


def background_of(relay: FakeRelay) -> Background:
    async def start() -> None:
        """Nothing was left."""

    wired: Any = SimpleNamespace(
        receivers={}, timers=[], relays=[relay], publishers=[], subscribers=[], start=start, runs=lambda: [relay.run()]
    )
    return Background(wired, Configuration(), VirtualClock(), lambda: None)


async def test_who_ends_it_again_after_being_cancelled_lands_what_is_on_its_way() -> None:
    relay = FakeRelay()
    background = background_of(relay)
    await background.begin()
    losing = asyncio.create_task(background.end(0.0))  # the lease is lost, and then the process is stopped
    await asyncio.sleep(0)
    losing.cancel()
    await asyncio.wait([losing])
    relay.lands.set()
    await background.end(1.0)
    await background.end(1.0)
    assert (relay.landed, relay.saved, background.runs) == (1, 1, False)
