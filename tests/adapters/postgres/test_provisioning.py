"""A module's database is its own: made for it and shut to others; what keeps it from being opened is told in a line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from insula.adapters.postgres.address import OLDEST_VERSION, Address, require_version
from insula.adapters.postgres.database import PostgresDatabase
from insula.adapters.postgres.provision import provision
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError
from insula.runtime.local.postgres import LocalPostgres
from support.notes import add_note, texts
from support.postgres import TestDatabases, opened_on_postgres


def where(server: LocalPostgres, module: str, password: str = "own", database: str = "") -> Address:
    """The address of a module's database on the tests' server."""
    return Address(f"postgresql://{module}:{password}@127.0.0.1:{server.port}/{database or module}")


async def started(address: Address) -> None:
    """Open a database and let go of it."""
    database = PostgresDatabase(address, "notes", SystemClock())
    await database.start(None, None)
    await database.close()


async def test_it_is_made_once_and_opened_by_its_role(postgres_server: LocalPostgres) -> None:
    address = where(postgres_server, "made_once")
    done = await provision(postgres_server.address, address)
    assert done == ["made role made_once", "made database made_once"]
    assert await provision(postgres_server.address, address) == []
    async with opened_on_postgres(address) as database:
        await add_note(database, "own")
        assert await texts(database) == ["own"]


async def test_another_modules_data_is_refused_by_the_server(postgres_server: LocalPostgres) -> None:
    mine, other = where(postgres_server, "mine"), where(postgres_server, "other")
    for address in (mine, other):
        await provision(postgres_server.address, address)
        await started(address)
    intruder = where(postgres_server, "mine", database="other")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
        await asyncpg.connect(intruder.url)
    with pytest.raises(ConfigurationError, match="permission denied for database"):
        await started(intruder)


async def test_names_and_passwords_of_any_characters_are_quoted_by_the_server(
    postgres_databases: TestDatabases,
) -> None:
    odd = 'o\'dd "name"; drop role notes'
    address = postgres_databases.address(odd.replace(" ", "%20").replace('"', "%22"))
    done = await provision(postgres_databases.administrator, address)
    assert done == [f"made database {odd}"]
    await started(address)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"password": "guessed"}, "role refused is refused: wrong password"),
        ({"module": "nobody_knows", "database": "refused"}, "role nobody_knows is refused"),
        ({"database": "missing"}, "there is no database missing"),
    ],
)
async def test_what_keeps_it_from_being_opened_is_told_in_a_line(
    postgres_server: LocalPostgres, change: dict[str, str], told: str
) -> None:
    await provision(postgres_server.address, where(postgres_server, "refused"))
    with pytest.raises(ConfigurationError, match=told) as error:
        await started(where(postgres_server, **{"module": "refused", **change}))
    assert "own@" not in str(error.value)
    assert "guessed" not in str(error.value)
    assert len(str(error.value).splitlines()) == 1


async def test_a_server_that_is_not_there_is_told_with_its_port() -> None:
    with pytest.raises(ConfigurationError, match=r"nobody answers at 127\.0\.0\.1:1 .*start PostgreSQL"):
        await started(Address("postgresql://notes:own@127.0.0.1:1/notes"))


def test_a_server_that_is_too_old_is_told() -> None:
    class Old:
        def get_server_version(self) -> Any:
            return type("Version", (), {"major": OLDEST_VERSION - 1})

    with pytest.raises(ConfigurationError, match=f"PostgreSQL {OLDEST_VERSION - 1} is too old; {OLDEST_VERSION}"):
        require_version(Old(), Address("postgresql://notes@127.0.0.1/notes"))


@pytest.mark.parametrize("text", ["mysql://127.0.0.1/{module}", "postgresql://127.0.0.1", "somewhere"])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"store\.address: .* write it like postgresql://\{module\}@localhost"):
        Address.of_module(text, "orders")


def test_an_address_has_the_modules_name_in_place_of_its_placeholder() -> None:
    address = Address.of_module("postgresql://{module}@db/shop_{module}", "orders", "/run/{module}.password")
    assert (address.url, address.password_file) == ("postgresql://orders@db/shop_orders", Path("/run/orders.password"))


async def test_a_password_that_was_changed_is_found_in_its_file(postgres_server: LocalPostgres, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    address = Address(f"postgresql://rotating@127.0.0.1:{postgres_server.port}/rotating", file)
    await provision(postgres_server.address, address)
    async with opened_on_postgres(address) as database:
        administrator = await asyncpg.connect(postgres_server.address)
        await administrator.execute("alter role rotating password 'second'")
        file.write_text("second\n")
        await administrator.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'rotating'")
        await administrator.close()
        await asyncio.sleep(0)
        for _ in range(50):  # until the driver has noticed that its connections are gone
            try:
                await add_note(database, "after")
                break
            except Exception:
                await asyncio.sleep(0)
        assert await texts(database) == ["after"]


async def test_a_password_file_that_is_missing_is_told(tmp_path: Path, postgres_server: LocalPostgres) -> None:
    address = Address(f"postgresql://notes@127.0.0.1:{postgres_server.port}/notes", tmp_path / "missing")
    with pytest.raises(ConfigurationError, match=r"store\.password_file: .*missing: No such file"):
        await started(address)
