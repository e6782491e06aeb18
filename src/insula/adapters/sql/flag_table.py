"""Flags in a table, each change of which is written down: who, when, from what, to what. Implements `FlagSource`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    make_url,
    select,
    update,
)
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from insula.adapters.sql.transactions import first_line, with_driver
from insula.flags.editing import changed_entry, refuse_if_other
from insula.flags.errors import FlagError, FlagsUnavailable
from insula.flags.flagset import FlagSet
from insula.flags.sources import Content
from insula.kernel.clock import Clock, SystemClock
from insula.kernel.errors import ConfigurationError

Value = TypeVar("Value")

tables = MetaData()
"""Both tables; whoever has migrations of their own puts them there."""

flags_table = Table(
    "insula_flags",
    tables,
    Column("key", String(200), primary_key=True),
    Column("definition", Text, nullable=False),  # JSON, as below [flags.KEY] of a file
)

changes_table = Table(
    "insula_flag_changes",
    tables,
    Column("number", Integer, primary_key=True),
    Column("key", String(200), nullable=False, index=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("who", String(200), nullable=False),
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

    Each use has a connection of its own, so that threads and forks may share it.

    Parameters: `address` as SQLAlchemy takes it, such as "postgresql://flags@localhost/flags" or "sqlite:///flags.db".
    Raises ConfigurationError for what is no address, and for a driver that is not installed.
    """

    waits = True

    def __init__(self, address: str, *, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
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
        return Content(msgspec.json.encode({"flags": _decoded(self._run(_texts))}))

    def change(
        self, key: str, changes: Mapping[str, Any], who: str, *, new: bool = False, dry_run: bool = False
    ) -> bool:
        """Change settings of one flag, all or none; returns whether anything is another thing now.

        Parameters: `changes`, setting -> value, as `editing.changed_entry` takes them; `who` does it; `new`, True to
        write a flag that is not there yet; `dry_run`, True to see only whether it could be done.
        Raises `FlagError` where there is no such flag or it would be none, and `FlagsUnavailable`.
        """

        def work(connection: Connection) -> bool:
            texts = _texts(connection)
            refuse_if_other(key, texts, self.name, new=new)
            entry = changed_entry({} if new else _entry(texts[key]), changes)
            return self._replace(connection, texts, key, entry, who, dry_run=dry_run)

        return self._run(work)

    def put(self, key: str, definition: Mapping[str, Any] | None, who: str) -> bool:
        """Write a flag as a whole, or take it away (None). Returns and raises as `change` does."""
        entry = None if definition is None else dict(definition)
        return self._run(lambda connection: self._replace(connection, _texts(connection), key, entry, who))

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
        if not who:
            raise FlagError(f"flag {key}: say who changes it")
        flags = {name: entry for name, entry in _decoded(texts).items() if name != key}
        if new is not None:
            flags[key] = new
        FlagSet.of({"flags": flags}, self.name)
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

    def _run(self, work: Callable[[Connection], Value]) -> Value:
        try:
            if self._is_async:
                return asyncio.run(self._run_async(work))
            engine = create_engine(self._url, poolclass=NullPool)
            with engine.begin() as connection:
                return work(connection)
        except (DBAPIError, SQLAlchemyError) as error:
            raise FlagsUnavailable(f"{self.name}: {first_line(getattr(error, 'orig', None) or error)}") from None
        except Exception as error:
            if isinstance(error, OSError) or type(error).__module__.startswith("asyncpg"):  # while it connects
                raise FlagsUnavailable(f"{self.name}: {first_line(error)}") from None
            raise

    async def _run_async(self, work: Callable[[Connection], Value]) -> Value:
        from sqlalchemy.ext.asyncio import create_async_engine

        async with create_async_engine(self._url, poolclass=NullPool).begin() as connection:
            return await connection.run_sync(work)


def _texts(connection: Connection) -> dict[str, str]:
    """Key -> definition, as it is stored."""
    rows = connection.execute(select(flags_table).order_by(flags_table.c.key))
    return {row.key: row.definition for row in rows}


def _decoded(texts: Mapping[str, str]) -> dict[str, Any]:
    return {key: _entry(text) for key, text in texts.items()}


def _entry(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise FlagError(f"{flags_table.name}: a definition is none: {error}") from None


def _read(text: str | None) -> dict[str, Any] | None:
    return None if text is None else _entry(text)
