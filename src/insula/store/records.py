"""The port of a module's data as whoever looks into it sees it, whether or not the module runs. Nothing can change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import MetaData, Result

from insula.messages import Envelope
from insula.store.database import Answer, Parked, Timer
from insula.store.unit_of_work import Parameters, Statement


class Records(Protocol):
    """One module's data. Every method raises ConfigurationError when there is none, or it cannot be read."""

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        ...

    def exists(self) -> bool:
        """Whether the module has run there."""
        ...

    def faults(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        """Why the module would not start on it, a line each; nothing when it would, or has not run yet."""
        ...

    def result(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """What a statement that reads finds."""
        ...

    def log(self, after: int, limit: int) -> Sequence[Envelope]:
        """So much of the log after a position."""
        ...

    def parked(self) -> Sequence[Parked]:
        """Parked messages, dead letters among them."""
        ...

    def taken(self, message_id: str) -> Sequence[tuple[str, Answer, datetime]]:
        """Which consumers took a message, how it ended and when, as far as that is still remembered."""
        ...

    def delayed(self) -> Sequence[Timer]:
        """Commands sent that are not due yet."""
        ...

    def positions(self) -> Sequence[int]:
        """The positions that the log has, in order."""
        ...

    def rows_of(self, tables: MetaData) -> Iterator[Sequence[Any]]:
        """The rows of each of those tables that is there, as the driver gives them."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
