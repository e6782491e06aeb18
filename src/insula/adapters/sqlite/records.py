"""A module's file, read only. Implements `insula.store.records.Records`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import MetaData, Result

from insula.adapters.sqlite.connection import Connection, open_reader, sqlalchemy_connection
from insula.adapters.sqlite.faults import faults_of
from insula.adapters.sqlite.tables import LOG_COLUMNS, answer_of, envelope_of, parked_of, timer_of
from insula.kernel.errors import ConfigurationError
from insula.messages import Envelope
from insula.store.database import Answer, Parked, Timer
from insula.store.unit_of_work import Parameters, Statement, executable

_LOG = f"select {LOG_COLUMNS} from insula_log where position > ? order by position limit ?"
_PARKED = "select * from insula_parked order by sequence"
_TAKEN = "select consumer, outcome, answer, time from insula_inbox where message_id = ? order by time"
_POSITIONS = "select position from insula_log order by position"
_TABLES = "select name from sqlite_master where type in ('table', 'view')"
_DELAYED = "select identifier, due, schedule, envelope from insula_timer where schedule = '' order by due, sequence"


class SqliteRecords:
    """Parameters: `path`; `module`, its name; `sole_process`, whether nobody else looks at the file (the simulator)."""

    def __init__(self, path: Path, module: str, *, sole_process: bool = False) -> None:
        self._path = path
        self._module = module
        self._sole_process = sole_process
        self._opened: Connection | None = None
        self._sql: SqlConnection | None = None

    @property
    def place(self) -> str:
        """The file."""
        return str(self._path)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    def faults(self, tables: MetaData | None, migrations: Path | None) -> Sequence[str]:
        """Why the module would not start on the file, a line each."""
        return faults_of(self._path, self._module, tables, migrations)

    def _reader(self) -> Connection:
        if self._opened is None:
            try:
                if not self._path.is_file():
                    raise FileNotFoundError("no such file; has the system run here? --directory names another folder")
                self._opened = open_reader(self._path, sole_process=self._sole_process)
            except (sqlite3.Error, OSError) as error:
                raise ConfigurationError(f"{self._path.absolute()}: {error}") from error
        return self._opened

    def result(self, statement: Statement, parameters: Parameters = None) -> Result[Any]:
        """What a statement that reads finds."""
        if self._sql is None:
            reader = self._reader()
            try:
                self._sql = sqlalchemy_connection(reader)
            except sqlite3.Error as error:
                raise self._unreadable(error) from error
        return self._sql.execute(executable(statement), parameters)

    def _own(self, statement: str, *parameters: Any) -> list[Any]:
        """The rows of a framework's own statement: by the driver alone, as they are many in a simulation."""
        reader = self._reader()
        try:
            return sqlite3.Cursor(reader).execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.Error) -> ConfigurationError:
        return ConfigurationError(f"{self._path.name} in {self._path.parent.absolute()}: {error}")

    def log(self, after: int, limit: int) -> Sequence[Envelope]:
        """So much of the log after a position."""
        return [envelope_of(row, self._module) for row in self._own(_LOG, after, limit)]

    def parked(self) -> Sequence[Parked]:
        """Parked messages, dead letters among them."""
        return [parked_of(row) for row in self._own(_PARKED)]

    def taken(self, message_id: str) -> Sequence[tuple[str, Answer, datetime]]:
        """Which consumers took a message, how it ended and when."""
        rows = self._own(_TAKEN, message_id)
        return [(row[0], answer_of((row[1], row[2], "")), datetime.fromisoformat(row[3])) for row in rows]

    def delayed(self) -> Sequence[Timer]:
        """Commands sent that are not due yet."""
        return [timer_of(row) for row in self._own(_DELAYED)]

    def positions(self) -> Sequence[int]:
        """The positions that the log has, in order."""
        return [position for (position,) in self._own(_POSITIONS)]

    def rows_of(self, tables: MetaData) -> Iterator[Sequence[Any]]:
        """The rows of each of those tables that is there."""
        present = {name for (name,) in self._own(_TABLES)}
        for table in tables.sorted_tables:
            if table.name in present:
                yield self._own(f'select * from "{table.name}"')

    def close(self) -> None:
        """Close the file."""
        self._sql = None
        if self._opened is not None:
            self._opened.shut()
            self._opened = None
