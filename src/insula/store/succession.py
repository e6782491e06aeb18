"""What becomes of units that come to a database that is out of use: another one performs them."""

from __future__ import annotations

import asyncio
from typing import Any

from insula.kernel.errors import Unavailable
from insula.store.database import Database, Scope

_WAIT_SECONDS = 10.0


class Succession:
    """Parameters: `name`, the module's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._successor: Database | None = None
        self._settled = asyncio.Event()

    def settle(self, successor: Database | None) -> None:
        """From now on this one performs them; None for nobody."""
        self._successor = successor
        if successor is None:
            self._settled.clear()
        else:
            self._settled.set()

    async def perform(self, body: Any, scope: Scope, *, on_thread: bool) -> Any:
        """Let the successor perform a unit, once it is known. Raises `Unavailable` when it does not become known."""
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            raise Unavailable(
                f"{self._name}: its data lies in another database by now; start this process again", retry_after=1.0
            ) from None
        assert self._successor is not None  # noqa: S101 - it is settled
        if on_thread:
            return await self._successor.perform_in_thread(body, scope)
        return await self._successor.perform(body, scope)
