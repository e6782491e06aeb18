"""Databases on the tests' PostgreSQL: copies of a template, which are made in a moment."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg

from insula.adapters.postgres.address import Address
from insula.adapters.postgres.database import PostgresDatabase
from insula.adapters.postgres.provision import provision
from insula.kernel.clock import SystemClock
from insula.modules import System
from insula.runtime.configuration import Store
from insula.runtime.databases import provision as provision_modules
from support.notes import TABLES

ROLE, PASSWORD = "notes", "notes' own: a 'quoted' \\ one"
TEMPLATE = "notes_template"


class TestDatabases:
    """Parameters: `administrator`, the server's address as its superuser."""

    __test__ = False

    def __init__(self, administrator: str) -> None:
        self.administrator = administrator

    def address(self, database: str) -> Address:
        """Of a database, as the role of the tests."""
        parts = urlsplit(self.administrator)
        return Address(f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@{parts.hostname}:{parts.port}/{database}")

    async def prepare(self) -> None:
        """Make the template, with Insula's tables and the notes."""
        await provision(self.administrator, self.address(TEMPLATE))
        async with opened_on_postgres(self.address(TEMPLATE)):
            pass

    async def make(self, database: str) -> Address:
        """A fresh database."""
        await self._administer(f'create database "{database}" template "{TEMPLATE}" owner "{ROLE}"')
        return self.address(database)

    async def empty(self, database: str) -> Address:
        """A database with nothing in it."""
        await self._administer(f'create database "{database}" owner "{ROLE}"')
        return self.address(database)

    async def drop(self, address: Address) -> None:
        """Forget it, whoever is still connected."""
        await self._administer(f'drop database "{urlsplit(address.url).path.strip("/")}" with (force)')

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(self.administrator)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@asynccontextmanager
async def opened_on_postgres(address: Address, **options: Any) -> AsyncIterator[PostgresDatabase]:
    """The database at `address`, closed at the end."""
    database = PostgresDatabase(address, "notes", SystemClock(), **options)
    await database.start(TABLES, None)
    try:
        yield database
    finally:
        await database.close()


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder that other accounts may enter, as PostgreSQL runs under one of them when the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="insula-postgres-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


_systems = count(1)


def provisioned(administrator: str, system: System) -> str:
    """`store.address` of fresh databases for every module of a system, each with a role of its own."""
    parts = urlsplit(administrator)
    name = f"system_{next(_systems)}_{{module}}"
    address = f"postgresql://{name}:{quote(PASSWORD, safe='')}@{parts.hostname}:{parts.port}/{name}"
    names = [module.name for module in system.modules]
    asyncio.run(provision_modules(names, Store(address=address), administrator))
    return address
