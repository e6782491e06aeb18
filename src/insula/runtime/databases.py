"""Which adapter a module's data is behind: SQLite files, or PostgreSQL where an address is configured."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import MetaData

from insula.adapters.sqlite.database import SqliteDatabase
from insula.adapters.sqlite.records import SqliteRecords
from insula.adapters.sqlite.sessions import SqliteSession
from insula.kernel.errors import ConfigurationError
from insula.runtime.configuration import Store
from insula.runtime.surroundings import Surroundings
from insula.store.database import Database
from insula.store.records import Records

_DRIVERS = ("asyncpg", "greenlet")


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


def database_of(
    module: str, store: Store, surroundings: Surroundings, directory: Path, owners: Mapping[str, str]
) -> ModuleDatabase:
    """The database of a module; it is not started yet. Raises ConfigurationError and `AlreadyOpen`.

    Parameters: `directory`, where SQLite files lie; `owners`, table -> module, of tables that lie elsewhere.
    """
    if store.address:
        from insula.adapters.postgres.database import PostgresDatabase

        return PostgresDatabase(
            _address(module, store), module, surroundings.clock, connections=store.connections,
            isolation=store.isolation, busy_timeout_seconds=store.busy_timeout_seconds,
            query_timeout_seconds=store.query_timeout_seconds, owners=owners, alone=not surroundings.holder,
            replica=_replica(module, store),
        )  # fmt: skip
    file, committer = directory / f"{module}.db", surroundings.committer
    common: dict[str, Any] = {
        "busy_timeout_seconds": store.busy_timeout_seconds, "query_timeout_seconds": store.query_timeout_seconds,
        "committer": None if committer is None else committer(module), "threads": surroundings.threads,
        "owners": owners, "sole_process": surroundings.sole_process,
    }  # fmt: skip
    if surroundings.holder and surroundings.server is not None:
        return SqliteSession(file, module, surroundings.clock, server=surroundings.server(module), **common)
    if surroundings.holder:
        raise ConfigurationError(
            f"{module}: its data lies in an SQLite file, which one process may open; name a PostgreSQL database"
        )
    return SqliteDatabase(file, module, surroundings.clock, **common)


def records_of(module: str, store: Store, directory: Path, *, sole_process: bool) -> Records:
    """A module's data, for looking into. Parameters: `directory`, where SQLite files lie."""
    if store.address:
        from insula.adapters.postgres.records import PostgresRecords

        return PostgresRecords(_address(module, store), module)
    return SqliteRecords(directory / f"{module}.db", module, sole_process=sole_process)


async def provision(modules: Sequence[str], store: Store, administrator: str) -> Sequence[str]:
    """Make the database and the role of each module where they are missing, shut to everybody else.

    Parameters: `administrator`, the address of somebody who may. Returns what was done, a line each.
    Raises ConfigurationError.
    """
    from insula.adapters.postgres.provision import provision as make

    return [f"{module}: {line}" for module in modules for line in await make(administrator, _address(module, store))]


def _replica(module: str, store: Store) -> Any:
    """Where the handlers of queries read; None where that is the database itself."""
    if not store.read_address:
        return None
    return _address(module, msgspec.structs.replace(store, address=store.read_address))


def _address(module: str, store: Store) -> Any:
    missing = [name for name in _DRIVERS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"store.address needs {' and '.join(missing)}, which is not installed: pip install 'insula[postgres]'"
        )
    from insula.adapters.postgres.address import Address

    return Address.of_module(store.address, module, store.password_file)


def without_password(address: str) -> str:
    """An address as it may be shown."""
    password = urlsplit(address).password
    return address if password is None else address.replace(f":{password}@", ":…@", 1)
