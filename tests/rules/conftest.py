"""Databases for filters of SQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, make_url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def each_database(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """SQLite in memory, or a transaction on PostgreSQL of which nothing stays."""
    if request.param == "sqlite":
        engine = create_engine("sqlite://")
    else:
        address = make_url(request.getfixturevalue("postgres_server").address)
        engine = create_engine(address.set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        yield connection
        connection.rollback()
    engine.dispose()
