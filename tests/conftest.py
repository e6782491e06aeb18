"""Servers that many tests share: one for all tests of a worker that ask for it, started by the first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine

from insula.adapters.postgres.address import Address
from insula.runtime.local.nats import LocalNats
from insula.runtime.local.postgres import LocalPostgres
from support.kafka import MockKafka, mock_kafka
from support.outboxes import postgres_engine, sqlite_engine
from support.postgres import TestDatabases, server_folder

QUICK = {"io_method": "sync", "autovacuum": "off", "max_wal_size": "2GB", "checkpoint_timeout": "30min"}
"""What runs in the background makes each of the tests' many databases wait for up to a second."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[LocalPostgres]:
    """A PostgreSQL that forgets everything with the tests."""
    with server_folder() as folder, LocalPostgres(folder / "server", durable=False, settings=QUICK) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: LocalPostgres) -> TestDatabases:
    """Makes databases quickly, all alike."""
    databases = TestDatabases(postgres_server.address)
    asyncio.run(databases.prepare())
    return databases


_databases = count(1)


@pytest.fixture
def postgres_address(postgres_databases: TestDatabases) -> Iterator[Address]:
    """A database of the test's own."""
    address = asyncio.run(postgres_databases.make(f"notes_{next(_databases)}"))
    yield address
    asyncio.run(postgres_databases.drop(address))


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNats]:
    """A NATS server with JetStream. Tests use names of their own, and leave it running."""
    with LocalNats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_cluster() -> Iterator[MockKafka]:
    """A mock cluster of Kafka. Tests use names of their own, and leave it running."""
    with mock_kafka() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgres"])
def shop_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database of an application with an outbox and an inbox."""
    if request.param == "sqlite":
        with sqlite_engine(tmp_path / "shop.db") as engine:
            yield engine
    else:
        with postgres_engine(request.getfixturevalue("postgres_address").url) as engine:
            yield engine


@pytest.fixture
def empty_address(postgres_databases: TestDatabases) -> Iterator[Address]:
    """The same with nothing in it."""
    address = asyncio.run(postgres_databases.empty(f"empty_{next(_databases)}"))
    yield address
    asyncio.run(postgres_databases.drop(address))
