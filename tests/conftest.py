"""Servers that many tests share: one for all tests of a worker that ask for it, started by the first."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.runtime.local.nats import LocalNats
from insula.runtime.local.postgres import LocalPostgres

QUICK = {"io_method": "sync", "autovacuum": "off", "max_wal_size": "2GB", "checkpoint_timeout": "30min"}
"""What runs in the background makes each of the tests' many databases wait for up to a second."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[LocalPostgres]:
    """A PostgreSQL that forgets everything with the tests."""
    folder = Path(tempfile.mkdtemp(prefix="insula-postgres-"))
    folder.chmod(0o755)  # who runs it need not be who runs the tests
    try:
        with LocalPostgres(folder / "server", durable=False, settings=QUICK) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNats]:
    """A NATS server with JetStream. Tests use names of their own, and leave it running."""
    with LocalNats(tmp_path_factory.mktemp("nats")) as server:
        yield server
