"""A PostgreSQL out of the wheel starts, survives being killed, and says what keeps it from starting."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from insula.kernel.errors import ConfigurationError
from insula.runtime.local.postgres import LocalPostgres, ServerFailed


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other accounts may enter, as PostgreSQL runs under one of them when the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="insula-postgres-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def asked(server: LocalPostgres, *statements: str) -> Any:
    """The value of the last statement, over a connection of its own."""

    async def ask() -> Any:
        connection = await asyncpg.connect(server.address)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_what_was_committed_survives_a_kill_and_the_address_stays(folder: Path) -> None:
    with LocalPostgres(folder / "server", durable=False) as server:
        address = server.address
        asked(server, "create table kept (n int)", "insert into kept values (7)", "select 1")
        server.kill()
        assert server.pid is None
        server.start()
        assert (server.address, asked(server, "select n from kept")) == (address, 7)
    assert server.pid is None


def test_only_whoever_knows_the_password_gets_in(folder: Path) -> None:
    with LocalPostgres(folder / "server", durable=False) as server:
        stranger = server.address.replace(server.password, "guessed")
        with pytest.raises(asyncpg.InvalidPasswordError):
            asyncio.run(asyncpg.connect(stranger))
        assert (server.directory / "password").stat().st_mode & 0o077 == 0


def test_a_port_that_is_taken_is_told(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServerFailed, match=rf"(?s)did not start on port {port}.*in use"):
            LocalPostgres(folder / "server", port=port, durable=False).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give the server to somebody else")
def test_an_account_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="no account 'nowhere-to-be-found'"):
        LocalPostgres(folder / "server", account="nowhere-to-be-found").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give the server to somebody else")
def test_a_folder_that_the_account_cannot_reach_is_told(folder: Path) -> None:
    folder.chmod(0o700)
    with pytest.raises(ConfigurationError, match=r"cannot reach .*chmod"):
        LocalPostgres(folder / "server", durable=False).start()
