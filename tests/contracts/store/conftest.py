"""The databases that every case of the port runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.notes import OpenDatabase, opened
from support.postgres import opened_on_postgres


@pytest.fixture(params=["sqlite", "postgres"])
def open_database(request: pytest.FixtureRequest, tmp_path: Path) -> OpenDatabase:
    """Opens the test's database; again the same one when called again."""
    if request.param == "sqlite":
        return lambda **options: opened(tmp_path / "notes.db", **options)
    address: Any = request.getfixturevalue("postgres_address")
    return lambda **options: opened_on_postgres(address, **options)
