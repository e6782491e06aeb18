"""Turns: what has the same key goes one after the other, in the order in which it asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from insula.messaging.failing import NotInTurn

Value = TypeVar("Value")
Key = tuple[str, str, str]
"""Consumer, source, and ordering key."""


class Turn:
    """A place in the line of its key, asked for at once and taken later.

    Parameters: `last`, by key, the end of each line. Whoever makes a turn takes it or gives it back.
    """

    __slots__ = ("_before", "_last", "_over", "key")

    def __init__(self, last: dict[Key, asyncio.Future[bool]], key: Key) -> None:
        self.key = key
        self._last = last
        self._before = last.get(key)
        self._over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        last[key] = self._over

    async def take(self, action: Callable[..., Coroutine[Any, Any, Value]], *arguments: Any) -> Value:
        """Act after everything before it; raises `NotInTurn` if that failed, or it would be overtaken."""
        try:
            if self._before is not None and not await asyncio.shield(self._before):
                raise NotInTurn(f"{self.key[0]}: a message before it under key {self.key[2]!r} was not taken")
            value = await action(*arguments)
        except BaseException:
            self._over.set_result(False)
            raise
        self._over.set_result(True)
        self._leave()
        return value

    def give_back(self) -> None:
        """End the turn if it was not taken, and forget it if it failed. Harmless after one that was taken."""
        if not self._over.done():
            self._over.set_result(False)
        self._leave()

    def _leave(self) -> None:
        if self._last.get(self.key) is not self._over:
            return
        if self._before is None or self._before.done():
            del self._last[self.key]
        else:  # given up while it waited: whoever comes next must wait for what this one waited for
            self._last[self.key] = self._before
