"""Flags in a database: every change by somebody, from something, to something."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from insula.adapters.postgres.address import Address
from insula.adapters.sql.flag_table import FlagAudit, FlagTable
from insula.flags import FlagError, Flags, FlagsUnavailable
from insula.flags.editing import REMOVED
from insula.kernel.errors import ConfigurationError
from insula.testing import VirtualClock

START = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/flags.db"
    else:
        postgres: Address = request.getfixturevalue("postgres_address")
        yield postgres.url


@pytest.fixture
def table(address: str) -> FlagTable:
    made = FlagTable(address, clock=VirtualClock())
    made.create()
    made.create()
    return made


def test_flags_come_from_the_table(table: FlagTable) -> None:
    table.put("f", {"default": "on"}, "ann")
    flags = Flags(table)
    assert flags.renew()
    assert flags.is_on("f")
    table.change("f", {"killed": True}, "bob")
    assert flags.renew()
    assert not flags.is_on("f")


def test_every_change_is_written_down(table: FlagTable) -> None:
    assert table.put("f", {"rollout": {"on": 10}}, "ann")
    assert table.change("f", {"rollout.on": 20, "owner": "orders"}, "bob")
    assert not table.change("f", {"owner": "orders"}, "bob"), "no change is no entry"
    assert table.change("f", {"owner": REMOVED}, "cid")
    assert table.put("f", None, "dan")
    first, second, third = {"rollout": {"on": 10}}, {"rollout": {"on": 20}, "owner": "orders"}, {"rollout": {"on": 20}}
    assert table.history("f") == [
        FlagAudit("f", START, "ann", None, first),
        FlagAudit("f", START, "bob", first, second),
        FlagAudit("f", START, "cid", second, third),
        FlagAudit("f", START, "dan", third, None),
    ]
    assert table.history("g") == []
    assert len(table.history()) == 4


def test_what_would_be_no_flag_is_refused_and_nothing_changes(table: FlagTable) -> None:
    table.put("f", {"default": "on"}, "ann")
    table.put("g", {"requires": ["f"]}, "ann")
    for change in (
        lambda: table.change("f", {"default": "maybe"}, "bob"),
        lambda: table.change("f", {"requires": ["g"]}, "bob"),
        lambda: table.change("h", {}, "bob"),
        lambda: table.change("f", {"killed": True}, ""),
        lambda: table.change("f", {"killed": True}, "  "),
        lambda: table.change("f", {"killed": True}, "x" * 201),
        lambda: table.put("", {}, "bob"),
        lambda: table.put("x" * 201, {}, "bob"),
        lambda: table.put("f", None, "bob"),
    ):
        with pytest.raises(FlagError):
            change()
    assert [(entry.key, entry.who) for entry in table.history()] == [("f", "ann"), ("g", "ann")]


def test_a_dry_run_changes_nothing(table: FlagTable) -> None:
    table.put("f", {}, "ann")
    assert table.change("f", {"killed": True}, "bob", dry_run=True)
    assert len(table.history()) == 1


def test_a_change_upon_what_somebody_else_changed_is_refused(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/flags.db"
    table = FlagTable(address)
    table.create()
    table.put("f", {"rollout": 10}, "ann")
    engine = create_engine(address)
    with engine.begin() as connection, pytest.raises(FlagError, match="changed by somebody else meanwhile"):
        table._write(connection, "f", '{"rollout":5}', '{"rollout":20}')
    engine.dispose()


def test_a_definition_that_somebody_spoiled_keeps_the_last_good(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/flags.db"
    table = FlagTable(address)
    table.create()
    table.put("f", {"default": "on"}, "ann")
    flags = Flags(table)
    flags.renew()
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("UPDATE insula_flags SET definition = '['"))
    engine.dispose()
    flags.renew()
    assert flags.is_on("f")
    assert "flag f: its definition is none" in flags.state.trouble
    with pytest.raises(FlagError, match=r"FlagTable\.put"):
        table.change("f", {"killed": True}, "bob")
    assert table.put("f", {"default": "off"}, "bob"), "it can be written as a whole"
    assert flags.renew()
    assert table.history("f")[-1].before == {"spoiled": "["}


def test_flags_that_somebody_spoiled_can_be_taken_away_one_after_the_other(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/flags.db"
    table = FlagTable(address)
    table.create()
    table.put("f", {}, "ann")
    table.put("g", {}, "ann")
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("UPDATE insula_flags SET definition = '7'"))
    engine.dispose()
    assert [table.put(key, None, "bob") for key in ("f", "g")] == [True, True]


def test_two_changes_that_would_be_a_circle_are_not_both_taken(table: FlagTable) -> None:
    for key in ("f", "g"):
        table.put(key, {}, "ann")
    begin = threading.Barrier(2)

    def require(pair: tuple[str, str]) -> str:
        begin.wait(10)
        try:
            table.change(pair[0], {"requires": [pair[1]]}, "bob")
        except FlagError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as threads:
        problems = sorted(threads.map(require, [("f", "g"), ("g", "f")]))
    assert problems[0] == ""
    assert "requires goes in a circle" in problems[1]


def test_a_new_flag_is_new_only_once(table: FlagTable) -> None:
    begin = threading.Barrier(2)

    def write(_number: int) -> str:
        begin.wait(10)
        try:
            table.change("f", {}, "bob", new=True)
        except FlagError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as threads:
        problems = sorted(threads.map(write, range(2)))
    assert problems[0] == ""
    assert "has a flag f already" in problems[1]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_server_that_is_silent_is_given_up(driver: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"postgresql+{driver}://flags:s3cret@127.0.0.1:{server.getsockname()[1]}/flags"
        with pytest.raises(FlagsUnavailable) as unavailable:
            FlagTable(address, timeout_seconds=0.5).read()
    assert "s3cret" not in str(unavailable.value)


def test_a_statement_that_waits_is_given_up(postgres_address: Address) -> None:
    FlagTable(postgres_address.url).create()
    table = FlagTable(postgres_address.url, timeout_seconds=0.1)
    engine = create_engine(FlagTable(postgres_address.url)._url)
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE insula_flags"))
        with pytest.raises(FlagsUnavailable, match="statement timeout"):
            table.read()
    engine.dispose()


def test_a_password_may_stand_in_a_file(postgres_address: Address, tmp_path: Path) -> None:
    from sqlalchemy import make_url

    url, secret = make_url(postgres_address.url), tmp_path / "password"
    secret.write_text(f"{url.password or 'any'}\n")
    FlagTable(url.set(password=None).render_as_string(), password_file=secret).create()
    secret.unlink()
    with pytest.raises(FlagsUnavailable, match="password cannot be read: No such file"):
        FlagTable(postgres_address.url, password_file=secret).read()


def test_a_database_that_is_not_there_is_unavailable_without_its_password(tmp_path: Path) -> None:
    for address in (f"sqlite:///{tmp_path}/none/flags.db", "postgresql://ann:secret@127.0.0.1:1/flags"):
        with pytest.raises(FlagsUnavailable) as unavailable:
            FlagTable(address).read()
        assert "secret" not in str(unavailable.value)
    with pytest.raises(FlagsUnavailable, match="no such table"):
        FlagTable("sqlite://").read()


@pytest.mark.parametrize("address", ["nothing", "unknown://x", "sqlite+none://"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError):
        FlagTable(address)
