"""The databases that every case of the port runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from support.notes import OpenDatabase, opened
from support.postgres import TestDatabases, opened_on_postgres

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: Any) -> TestDatabases:
    """Makes databases quickly, all alike."""
    databases = TestDatabases(postgres_server.address)
    asyncio.run(databases.prepare())
    return databases


@pytest.fixture(params=["sqlite", "postgres"])
def open_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenDatabase]:
    """Opens the test's database; again the same one when called again."""
    if request.param == "sqlite":
        yield lambda **options: opened(tmp_path / "notes.db", **options)
        return
    databases: TestDatabases = request.getfixturevalue("postgres_databases")
    address = asyncio.run(databases.make(f"notes_{next(_numbers)}"))
    yield lambda **options: opened_on_postgres(address, **options)
    asyncio.run(databases.drop(address))
