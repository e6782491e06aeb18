"""A line for handlers that collide: what was outrun goes one after the other for a while, as on SQLite always."""

from __future__ import annotations

import asyncio

_HOT_SECONDS = 1.0


class Line:
    """Remembers which handlers of a module collided lately, and lets those in one by one, before they read anything.

    Serializable transactions that change the same rows at once make each other start over, and the more there are the
    less gets through; those that touch other rows need not wait.
    """

    def __init__(self) -> None:
        self._hot_until: dict[str, float] = {}
        self._lock = asyncio.Lock()

    def collided(self, place: str) -> None:
        """A unit of this handler has to run again because of another one."""
        self._hot_until[place] = asyncio.get_running_loop().time() + _HOT_SECONDS

    async def enter(self, place: str) -> bool:
        """Wait for the turn if the handler collided lately; returns whether it has to `leave`."""
        until = self._hot_until.get(place)
        if until is None:
            return False
        if until < asyncio.get_running_loop().time():
            del self._hot_until[place]
            return False
        await self._lock.acquire()
        return True

    def leave(self) -> None:
        """Let the next one in."""
        self._lock.release()
