"""A read-only view of every module's data, whether or not the system runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection as SqlConnection

from insula.adapters.sqlite.connection import Connection, open_reader, sqlalchemy_connection
from insula.adapters.sqlite.faults import faults_of
from insula.adapters.sqlite.tables import LOG_COLUMNS, answer_of, envelope_of, parked_of, timer_of
from insula.kernel.errors import ConfigurationError
from insula.messages import Envelope
from insula.modules import Module, System
from insula.runtime.configuration import Configuration
from insula.store.database import Answer, Parked, Timer
from insula.store.unit_of_work import Parameters, Statement, executable

_PAGE = 1000
_LOG = f"select {LOG_COLUMNS} from insula_log where position > ? order by position limit ?"
_PARKED = "select * from insula_parked order by sequence"
_TAKEN = "select consumer, outcome, answer, time from insula_inbox where message_id = ? order by time"
_POSITIONS = "select position from insula_log order by position"
_TABLES = "select name from sqlite_master where type in ('table', 'view')"
_DELAYED = "select identifier, due, schedule, envelope from insula_timer where schedule = '' order by due, sequence"


class Inspection:
    """Reads the data of a system's modules; nothing can be changed through it.

    Parameters: `system`; `configuration` (default: all defaults); `directory`, where the files lie (default: that of
    the configuration); `sole_process`, whether no other process looks at them (the simulator).
    Raises ConfigurationError when a module has no readable file there.
    """

    def __init__(
        self,
        system: System,
        configuration: Configuration | None = None,
        *,
        directory: Path | None = None,
        sole_process: bool = False,
    ) -> None:
        self._directory = directory or Path((configuration or Configuration()).store.directory)
        self._modules = system.modules
        self._sole_process = sole_process
        self._readers: dict[str, Connection] = {}
        self._sql: dict[str, SqlConnection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sql.clear()
        while self._readers:
            self._readers.popitem()[1].shut()

    def _reader(self, module: Module) -> Connection:
        if module.name not in self._readers:
            path = self._directory / f"{module.name}.db"
            try:
                if not path.is_file():
                    raise FileNotFoundError("no such file; has the system run here? --directory names another folder")
                self._readers[module.name] = open_reader(path, sole_process=self._sole_process)
            except (sqlite3.Error, OSError) as error:
                raise ConfigurationError(f"{path.absolute()}: {error}") from error
        return self._readers[module.name]

    def _connection(self, module: Module) -> SqlConnection:
        if module.name not in self._sql:
            reader = self._reader(module)
            try:
                self._sql[module.name] = sqlalchemy_connection(reader)
            except sqlite3.Error as error:
                raise ConfigurationError(f"{module.name}.db in {self._directory.absolute()}: {error}") from error
        return self._sql[module.name]

    def _own(self, module: Module, statement: str, *parameters: Any) -> list[Any]:
        """The rows of a framework's own statement: by the driver alone, as they are many in a simulation."""
        reader = self._reader(module)
        try:
            return sqlite3.Cursor(reader).execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise ConfigurationError(f"{module.name}.db in {self._directory.absolute()}: {error}") from error

    def faults(self, module: Module) -> Sequence[str]:
        """Why the module would not start on its file, a line each; nothing when it would, or has no file yet."""
        path = self._directory / f"{module.name}.db"
        return faults_of(path, module.name, module.tables, module.migrations)

    def rows(self, module: Module, statement: Statement, parameters: Parameters = None) -> Sequence[Any]:
        """The rows of a statement on one module's data."""
        return self._connection(module).execute(executable(statement), parameters).all()

    def scalar(self, module: Module, statement: Statement, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        return self._connection(module).execute(executable(statement), parameters).scalar()

    def log(self, module: Module, *, after: int = 0) -> Iterator[Envelope]:
        """The module's log after a position."""
        while True:
            page = self._own(module, _LOG, after, _PAGE)
            for row in page:
                yield envelope_of(row, module.name)
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def parked(self, module: Module) -> Sequence[Parked]:
        """The module's parked messages, dead letters among them."""
        return [parked_of(row) for row in self._own(module, _PARKED)]

    def taken(self, module: Module, message_id: str) -> Sequence[tuple[str, Answer, datetime]]:
        """Who of the module took a message, how it ended and when, as far as that is still remembered."""
        rows = self._own(module, _TAKEN, message_id)
        return [(row[0], answer_of((row[1], row[2], "")), datetime.fromisoformat(row[3])) for row in rows]

    def delayed(self, module: Module) -> Sequence[Timer]:
        """The commands that the module has sent and that are not due yet."""
        return [timer_of(row) for row in self._own(module, _DELAYED)]

    def positions(self, module: Module) -> Sequence[int]:
        """The positions that the module's log has, in order."""
        return [position for (position,) in self._own(module, _POSITIONS)]

    def tables(self, module: Module) -> Iterator[Sequence[Any]]:
        """The rows of each of the module's own tables that is there, as the driver gives them."""
        present = {name for (name,) in self._own(module, _TABLES)}
        for table in () if module.tables is None else module.tables.sorted_tables:
            if table.name in present:
                yield self._own(module, f'select * from "{table.name}"')
