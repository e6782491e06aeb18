"""A module's database that may become another one while the module runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from insula.messages import Envelope
from insula.runtime.moves import Move, MoveState, forget
from insula.store.moving import MOVED_TO

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from insula.runtime.module_database import ModuleDatabase
    from insula.store.database import Scope

_MOVED = f"select value from insula_meta where name = '{MOVED_TO}'"


class MovableDatabase:
    """Passes everything on to the database in which the module's data lies now.

    Parameters: `name`, the module's; `current`, the database to begin with; `directory`, where moves are noted;
    `move` that was begun and may have happened; `target`, opens the database it leads to.
    """

    def __init__(
        self,
        name: str,
        current: ModuleDatabase,
        directory: Path,
        move: Move | None,
        target: Callable[[], ModuleDatabase],
    ) -> None:
        self.name = name
        self.current = current
        self._directory = directory
        self._move = move
        self._target = target
        self._superseded: list[ModuleDatabase] = []
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self.on_moved: list[Callable[[], None]] = []
        """Called once the data lies elsewhere, where nobody holds a lease yet."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.current, name)

    # What is asked most is passed on without a search.
    def perform(self, body: Any, scope: Scope) -> Coroutine[Any, Any, Any]:
        """Run `body` as one unit of work."""
        return self.current.perform(body, scope)

    def log_head(self) -> Coroutine[Any, Any, int]:
        """The last position of the log."""
        return self.current.log_head()

    def log_after(self, position: int, types: Collection[str], limit: int) -> Coroutine[Any, Any, Sequence[Envelope]]:
        """The log after a position."""
        return self.current.log_after(position, types, limit)

    def on_append(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call `listener` after each commit that appended to the log, wherever that is."""
        self._listeners.append(listener)
        self.current.on_append(listener)

    async def start(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        """Open the database in which the data lies, which a move that was broken off may have changed at its end."""
        done = await self.current.start(tables, migrations)
        move = self._move
        if move is None or move.state is not MoveState.UNDER_WAY:
            return done
        moved = bool(await self.current.read(_MOVED))
        if move.back and not moved:  # it came back in the last moment
            forget(self._directory, self.name)
        if moved:
            await self.current.close()
            msgspec.structs.replace(move, state=MoveState.MOVED, back=False).write(self._directory)
            current = self._target()
            done = [*done, *await current.start(tables, migrations)]
            self._follow(current)
        return done

    def become(self, successor: ModuleDatabase) -> None:
        """Pass everything on to another database; this one is kept open for who still reads in it."""
        self._superseded.append(self.current)
        self._follow(successor)
        for listener in self._listeners:
            listener(frozenset())  # nobody knows what is new there
        for moved in self.on_moved:
            moved()

    def _follow(self, successor: ModuleDatabase) -> None:
        self.current = successor
        for listener in self._listeners:
            successor.on_append(listener)

    async def close_superseded(self) -> None:
        """Close those that are not in use any more."""
        superseded, self._superseded = self._superseded, []
        for database in superseded:
            await database.close()

    def let_go(self) -> None:
        """Let go of all of them at once."""
        for database in (self.current, *self._superseded):
            database.let_go()

    async def close(self) -> None:
        """Close all of them."""
        try:
            await self.current.close()
        finally:
            await self.close_superseded()
