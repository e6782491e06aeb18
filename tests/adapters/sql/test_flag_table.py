"""Flags in a database: every change by somebody, from something, to something."""

from __future__ import annotations

from collections.abc import Iterator
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
    assert "a definition is none" in flags.state.trouble


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
