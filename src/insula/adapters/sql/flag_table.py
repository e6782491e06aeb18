"""Flags in a table, each change of which is written down: who, when, from what, to what. Implements `FlagSource`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    URL,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    false,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from insula.adapters.sql.transactions import first_line, with_driver
from insula.flags.editing import changed_entry, refuse_if_other
from insula.flags.errors import FlagError, FlagsUnavailable
from insula.flags.flagset import FlagSet
from insula.flags.sources import Content
from insula.kernel.clock import Clock, SystemClock
from insula.kernel.errors import ConfigurationError

Value = TypeVar("Value")

_SECONDS = 10.0
_LONGEST_NAME = 200

tables = MetaData()
"""Both tables; whoever has migrations of their own puts them there."""

flags_table = Table(
    "insula_flags",
    tables,
    Column("key", String(_LONGEST_NAME), primary_key=True),
    Column("definition", Text, nullable=False),  # JSON, as below [flags.KEY] of a file
)

changes_table = Table(
    "insula_flag_changes",
    tables,
    Column("number", Integer, primary_key=True),
    Column("key", String(_LONGEST_NAME), nullable=False, index=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("who", String(_LONGEST_NAME), nullable=False),
    Column("before", Text),
    Column("after", Text),
)


@dataclass(frozen=True, slots=True)
class FlagAudit:
    """One change of a flag. `before` is None where it was new, `after` where it was taken away."""

    key: str
    at: datetime
    who: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class FlagTable:
    """Flags in the tables `insula_flags` and `insula_flag_changes` of a database.

    Each use has a connection of its own, so that threads and forks may share it. Changes wait for each other: what is
    checked against the other flags stays so until it is committed.

    Parameters: `address` as SQLAlchemy takes it, such as "postgresql://flags@localhost/flags" or "sqlite:///flags.db";
    `password_file`, whose one line is the password, read again each time; `timeout_seconds`, how long connecting and a
    statement may each take (default 10).
    Raises ConfigurationError for what is no address, and for a driver that is not installed.
    """

    waits = True

    def __init__(
        self,
        address: str,
        *,
        password_file: Path | None = None,
        timeout_seconds: float = _SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._password_file = password_file
        self._timeout_seconds = timeout_seconds
        self.name = "the database of flags"
        try:
            self._url = with_driver(make_url(address))
            self.name = self._url.set(query={}).render_as_string(hide_password=True)
            self._is_async = self._url.get_dialect().is_async
        except (ArgumentError, NoSuchModuleError):
            raise ConfigurationError(
                f"{self.name}: no address that SQLAlchemy knows; write it like sqlite:///flags.db or "
                "postgresql://flags@localhost/flags"
            ) from None
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"{self.name} needs {error.name}, which is not installed") from error

    def create(self) -> None:
        """Make the tables where they are missing. Raises `FlagsUnavailable`."""
        self._run(tables.create_all)

    def read(self, known: Content | None = None) -> Content:
        """Every flag. Raises `FlagsUnavailable`."""
        return Content(msgspec.json.encode({"flags": self._decoded(self._run(_texts))}))

    def change(
        self, key: str, changes: Mapping[str, Any], who: str, *, new: bool = False, dry_run: bool = False
    ) -> bool:
        """Change settings of one flag, all or none; returns whether anything is another thing now.

        Parameters: `changes`, setting -> value, as `editing.changed_entry` takes them; `who` does it; `new`, True to
        write a flag that is not there yet; `dry_run`, True to see only whether it could be done.
        Raises `FlagError` where there is no such flag or it would be none, and `FlagsUnavailable`.
        """

        def work(connection: Connection) -> bool:
            texts = _locked_texts(connection)
            refuse_if_other(key, texts, self.name, new=new)
            entry = changed_entry({} if new else self._entry(key, texts[key]), changes)
            return self._replace(connection, texts, key, entry, who, dry_run=dry_run)

        return self._run(work)

    def put(self, key: str, definition: Mapping[str, Any] | None, who: str) -> bool:
        """Write a flag as a whole, or take it away (None). Returns and raises as `change` does."""
        entry = None if definition is None else dict(definition)
        return self._run(lambda connection: self._replace(connection, _locked_texts(connection), key, entry, who))

    def history(self, key: str | None = None) -> list[FlagAudit]:
        """The changes of one flag, or of all, the oldest first. Raises `FlagsUnavailable`."""
        chosen = select(changes_table).order_by(changes_table.c.number)
        if key is not None:
            chosen = chosen.where(changes_table.c.key == key)
        rows = self._run(lambda connection: connection.execute(chosen).all())
        return [
            FlagAudit(
                row.key, row.at.replace(tzinfo=row.at.tzinfo or UTC), row.who, _read(row.before), _read(row.after)
            )
            for row in rows
        ]

    def _replace(
        self, connection: Connection, texts: dict[str, str], key: str, new: dict[str, Any] | None, who: str,
        *, dry_run: bool = False,
    ) -> bool:  # fmt: skip
        for what, name in (("who changes it", who), ("its key", key)):
            if not name.strip() or len(name) > _LONGEST_NAME:
                raise FlagError(
                    f"flag {key[:_LONGEST_NAME]}: {what} is 1 to {_LONGEST_NAME} letters, not {name[:50]!r}"
                )
        others = {name: written for name, written in texts.items() if name != key}
        if new is not None:
            FlagSet.of({"flags": {**self._decoded(others), key: new}}, self.name)
        elif not any(map(_is_spoiled, others.values())):  # taking one away may be the way out
            FlagSet.of({"flags": self._decoded(others)}, self.name)
        before = texts.get(key)
        after = None if new is None else msgspec.json.encode(new, enc_hook=str).decode()
        if after == before or dry_run:
            return after != before
        self._write(connection, key, before, after)
        row = {"key": key, "at": self._clock.now(), "who": who, "before": before, "after": after}
        connection.execute(insert_into(changes_table), row)
        return True

    def _write(self, connection: Connection, key: str, before: str | None, after: str | None) -> None:
        if before is None:
            connection.execute(insert_into(flags_table), {"key": key, "definition": after})
            return
        change = delete_from(flags_table) if after is None else update(flags_table).values(definition=after)
        # Whoever changed it since we read it has the first word: nothing of theirs is lost.
        as_read = (flags_table.c.key == key) & (flags_table.c.definition == before)
        if connection.execute(change.where(as_read)).rowcount != 1:
            raise FlagError(f"flag {key} was changed by somebody else meanwhile; look at it, and do it again")

    def _decoded(self, texts: Mapping[str, str]) -> dict[str, Any]:
        return {key: self._entry(key, written) for key, written in texts.items()}

    def _entry(self, key: str, written: str) -> dict[str, Any]:
        try:
            return _object(written)
        except msgspec.DecodeError as error:
            raise FlagError(
                f"{self.name}: flag {key}: its definition is none: {error}; "
                f"write it as a whole, or take it away, with FlagTable.put({key!r}, …)"
            ) from None

    def _run(self, work: Callable[[Connection], Value]) -> Value:
        url = self._url_with_password()
        try:
            if self._is_async:
                return asyncio.run(self._run_async(url, work))
            engine = create_engine(url, poolclass=NullPool, connect_args=self._connect_args(url))
            with engine.begin() as connection:
                return self._within_time(connection, work)
        except IntegrityError:
            raise FlagError(f"{self.name}: somebody else wrote this flag meanwhile; look at it, do it again") from None
        except (DBAPIError, SQLAlchemyError) as error:
            raise FlagsUnavailable(f"{self.name}: {first_line(getattr(error, 'orig', None) or error)}") from None
        except TimeoutError:
            raise FlagsUnavailable(f"{self.name} does not answer within {self._timeout_seconds:g} s") from None
        except Exception as error:
            if isinstance(error, OSError) or type(error).__module__.startswith("asyncpg"):  # while it connects
                raise FlagsUnavailable(f"{self.name}: {first_line(error)}") from None
            raise

    async def _run_async(self, url: URL, work: Callable[[Connection], Value]) -> Value:
        from sqlalchemy.ext.asyncio import create_async_engine

        async with (
            asyncio.timeout(self._timeout_seconds),
            create_async_engine(url, poolclass=NullPool).begin() as connection,
        ):
            return await connection.run_sync(work)

    def _url_with_password(self) -> URL:
        if self._password_file is None:
            return self._url
        try:
            return self._url.set(password=self._password_file.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
            raise FlagsUnavailable(f"{self._password_file} cannot be read: {why}") from None

    def _connect_args(self, url: URL) -> dict[str, Any]:
        """What keeps libpq from waiting for ever for a server that is silent; what the address says goes before."""
        if not url.drivername.startswith("postgresql+psycopg"):
            return {}
        seconds = max(1, math.ceil(self._timeout_seconds))
        given = {
            "connect_timeout": seconds, "tcp_user_timeout": seconds * 1000,
            "keepalives_idle": seconds, "keepalives_interval": seconds, "keepalives_count": 2,
        }  # fmt: skip
        return {name: value for name, value in given.items() if name not in url.query}

    def _within_time(self, connection: Connection, work: Callable[[Connection], Value]) -> Value:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = {math.ceil(self._timeout_seconds * 1000)}"))
        return work(connection)


def _texts(connection: Connection) -> dict[str, str]:
    """Key -> definition, as it is stored."""
    rows = connection.execute(select(flags_table).order_by(flags_table.c.key))
    return {row.key: row.definition for row in rows}


def _locked_texts(connection: Connection) -> dict[str, str]:
    """The same, and nobody else may change any of it before this transaction ends; reading goes on."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {flags_table.name} IN SHARE ROW EXCLUSIVE MODE"))
    else:  # it changes nothing, and takes SQLite's lock for writing
        connection.execute(update(flags_table).where(false()).values(definition=""))
    rows = connection.execute(select(flags_table).order_by(flags_table.c.key).with_for_update())
    return {row.key: row.definition for row in rows}


def _object(written: str) -> dict[str, Any]:
    return msgspec.json.decode(written, type=dict[str, Any])


def _is_spoiled(written: str) -> bool:
    try:
        return not isinstance(_object(written), dict)
    except msgspec.DecodeError:
        return True


def _read(written: str | None) -> dict[str, Any] | None:
    """What a change was from or to; what is no definition stands in one as it is."""
    if written is None:
        return None
    return {"spoiled": written} if _is_spoiled(written) else _object(written)
