"""A read-only view of every module's data, whether or not the system runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from insula.messages import Envelope
from insula.modules import Module, System
from insula.runtime.configuration import Configuration
from insula.runtime.databases import records_of
from insula.runtime.local.addresses import located
from insula.store.database import Answer, Parked, Timer
from insula.store.records import Records
from insula.store.unit_of_work import Parameters, Statement

_PAGE = 1000


class Inspection:
    """Reads the data of a system's modules; nothing can be changed through it.

    Parameters: `system`; `configuration` (default: all defaults); `directory`, where SQLite files lie, or `insula up`
    tells of databases (default: that of the configuration); `sole_process`, whether no other process looks at them
    (the simulator).
    Raises ConfigurationError when a module has no readable data there.
    """

    def __init__(
        self,
        system: System,
        configuration: Configuration | None = None,
        *,
        directory: Path | None = None,
        sole_process: bool = False,
    ) -> None:
        store = (configuration or Configuration()).store
        self._directory = directory or Path(store.directory)
        self._store = located(store, self._directory)
        self._sole_process = sole_process
        self._records: dict[str, Records] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._records:
            self._records.popitem()[1].close()

    def of(self, module: Module) -> Records:
        """One module's data."""
        found = self._records.get(module.name)
        if found is None:
            found = records_of(module.name, self._store, self._directory, sole_process=self._sole_process)
            self._records[module.name] = found
        return found

    def faults(self, module: Module) -> Sequence[str]:
        """Why the module would not start on its data, a line each; nothing when it would, or has not run yet."""
        return self.of(module).faults(module.tables, module.migrations)

    def rows(self, module: Module, statement: Statement, parameters: Parameters = None) -> Sequence[Any]:
        """The rows of a statement on one module's data."""
        return self.of(module).result(statement, parameters).all()

    def scalar(self, module: Module, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return self.of(module).result(statement, parameters).scalar()

    def log(self, module: Module, *, after: int = 0) -> Iterator[Envelope]:
        """The module's log after a position."""
        while True:
            page = self.of(module).log(after, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].position

    def parked(self, module: Module) -> Sequence[Parked]:
        """The module's parked messages, dead letters among them."""
        return self.of(module).parked()

    def taken(self, module: Module, message_id: str) -> Sequence[tuple[str, Answer, datetime]]:
        """Who of the module took a message, how it ended and when, as far as that is still remembered."""
        return self.of(module).taken(message_id)

    def delayed(self, module: Module) -> Sequence[Timer]:
        """The commands that the module has sent and that are not due yet."""
        return self.of(module).delayed()

    def positions(self, module: Module) -> Sequence[int]:
        """The positions that the module's log has, in order."""
        return self.of(module).positions()

    def tables(self, module: Module) -> Iterator[Sequence[Any]]:
        """The rows of each of the module's own tables that is there, as the driver gives them."""
        if module.tables is not None:
            yield from self.of(module).rows_of(module.tables)
