"""Waiting for whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any


async def woken(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, but no longer than that; returns whether it was."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def land(tasks: Sequence[asyncio.Task[Any]], seconds: float | None = None) -> None:
    """Wait until every task has ended; those that have not after `seconds` (default: no limit) are cancelled."""
    if not tasks:
        return
    await asyncio.wait(tasks, timeout=seconds)
    late = [task for task in tasks if not task.done()]
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late)
