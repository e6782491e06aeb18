"""The test's own database file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.notes import OpenDatabase, opened


@pytest.fixture
def open_database(tmp_path: Path) -> OpenDatabase:
    """Opens the test's database; again on the same file when called again."""

    def open_it(**options: Any) -> Any:
        return opened(tmp_path / "notes.db", **options)

    return open_it
