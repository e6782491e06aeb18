"""The port of a module's database as whoever opens and closes it sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy import MetaData

from insula.store.database import Database


class ModuleDatabase(Database, Protocol):
    """A database with its beginning and its end."""

    @property
    def location(self) -> str:
        """Where the data lies, for people."""
        ...

    async def start(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        """Apply migrations, or without any make the declared tables that are missing; then accept units.

        Returns what was done, a line each. Raises ConfigurationError.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and let go."""
        ...

    def let_go(self) -> None:
        """Let go at once, as the end of the process would: what is not committed is rolled back."""
        ...
