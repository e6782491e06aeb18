"""Rules in a table of a database, renewed while they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    insert,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from insula.adapters.sql.transactions import first_line, with_driver
from insula.kernel.clock import Clock
from insula.kernel.errors import ConfigurationError
from insula.rules import Limits, Rule, RuleError
from insula.rules.functions.declared import Declarations
from insula.rules.parser import LIMITS
from insula.rules.renewal import RenewedRules
from insula.rules.written import Content

Value = TypeVar("Value")

tables = MetaData()
"""Whoever has migrations of their own puts the table there."""

rules_table = Table(
    "insula_rules",
    tables,
    Column("name", String(200), primary_key=True),
    Column("condition", Text, nullable=False),  # CEL
)


class RuleTable(RenewedRules):
    """The rules in the table `insula_rules`. They are read at the beginning and by `reload`, which a `Poller` may call.

    Parameters: `address` as SQLAlchemy takes it, with a driver that is not one of asyncio, such as
    "postgresql://rules@localhost/rules" or "sqlite:///rules.db"; `about`, `limits` and `functions`, as for `Rule`.
    Raises ConfigurationError for what is no address, and RuleError where the table cannot be read or has bad rules.
    """

    def __init__(
        self,
        address: str,
        *,
        about: Mapping[str, Any] | None = None,
        limits: Limits = LIMITS,
        functions: Declarations | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._place = _Place(address)
        super().__init__(
            self._place.name, self._place.read, check_seconds=None, about=about, limits=limits, functions=functions,
            clock=clock,
        )  # fmt: skip

    @staticmethod
    def create(address: str) -> None:
        """Make the table where it is missing."""
        _Place(address).run(tables.create_all)

    def put(self, name: str, condition: str | None) -> None:
        """Write a rule, or take it away (None). Raises `RuleError` for what is no rule, and then changes nothing."""
        if condition is not None:
            Rule.parse(condition, **self._options)

        def write(connection: Connection) -> None:
            connection.execute(delete(rules_table).where(rules_table.c.name == name))
            if condition is not None:
                connection.execute(insert(rules_table), {"name": name, "condition": condition})

        self._place.run(write)
        self.reload()


class _Place:
    """The table's database. Each use has a connection of its own, so that threads and forks may share it."""

    def __init__(self, address: str) -> None:
        self.name = "the database of rules"
        try:
            url = with_driver(make_url(address))
            self.name = url.set(query={}).render_as_string(hide_password=True)
            if url.get_dialect().is_async:
                raise ConfigurationError(f"{self.name}: name a driver without asyncio, such as psycopg")
            self._engine = create_engine(url, poolclass=NullPool)
        except (ArgumentError, NoSuchModuleError):
            raise ConfigurationError(
                f"{self.name}: no address that SQLAlchemy knows; write it like sqlite:///rules.db or "
                "postgresql://rules@localhost/rules"
            ) from None
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"{self.name} needs {error.name}, which is not installed") from error

    def read(self) -> Content:
        """Every rule."""

        def all_of_them(connection: Connection) -> dict[str, str]:
            rows = connection.execute(select(rules_table).order_by(rules_table.c.name))
            return {row.name: row.condition for row in rows}

        return Content(msgspec.json.encode({"rules": self.run(all_of_them)}), is_json=True)

    def run(self, work: Callable[[Connection], Value]) -> Value:
        """Do something in a transaction. Raises RuleError where the database does not answer or refuses."""
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise RuleError(f"{self.name}: {first_line(getattr(error, 'orig', None) or error)}") from None
