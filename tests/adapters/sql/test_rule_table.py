"""Rules in a table: checked as a whole, renewed as a whole, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert
from sqlalchemy.pool import NullPool

from insula.adapters.polling.poller import Poller
from insula.adapters.postgres.address import Address
from insula.adapters.sql.rule_table import RuleTable, rules_table
from insula.kernel.errors import ConfigurationError
from insula.rules import RuleError


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        place = f"sqlite:///{tmp_path}/rules.db"
    else:
        postgres: Address = request.getfixturevalue("postgres_address")
        place = postgres.url.replace("postgresql://", "postgresql+psycopg://", 1)
    RuleTable.create(place)
    return place


def test_rules_are_written_read_and_taken_away(address: str) -> None:
    table = RuleTable(address)
    assert list(table.rules) == []
    table.put("too-large", "payment.amount > 1000")
    table.put("blocked", "payment.country == 'XX'")
    table.put("too-large", "payment.amount > 2000")
    assert table.rules.decide(payment={"amount": 1500, "country": "XX"}).matching == ("blocked",)
    table.put("blocked", None)
    assert list(RuleTable(address).rules) == ["too-large"]


def test_what_is_no_rule_is_not_written(address: str) -> None:
    table = RuleTable(address, about={"payment": {"amount": int}})
    with pytest.raises(RuleError, match="ammount"):
        table.put("too-large", "payment.ammount > 1000")
    assert list(RuleTable(address).rules) == []


def test_a_bad_rule_that_somebody_else_wrote_leaves_the_last_good_ones_in_use(address: str) -> None:
    table = RuleTable(address)
    table.put("too-large", "payment.amount > 1000")
    version = table.rules.version
    with create_engine(address, poolclass=NullPool).begin() as connection:
        connection.execute(insert(rules_table), {"name": "odd", "condition": "1 +"})
    assert not table.reload()
    assert "odd" in table.trouble
    assert table.rules.version == version
    with pytest.raises(RuleError, match="odd"):
        RuleTable(address)


def test_a_change_is_seen_while_the_rules_are_renewed(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/rules.db"
    RuleTable.create(address)
    table, pause = RuleTable(address), threading.Event()
    with Poller(table.reload, 0.005, name="rules"):
        RuleTable(address).put("always", "true")
        for _ in range(2000):
            if table.rules:
                break
            pause.wait(0.005)
    assert table.rules.decide().matching == ("always",)


def test_a_database_that_is_away_or_no_address_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no such table") as caught:
        RuleTable(f"sqlite:///{tmp_path}/none.db")
    assert "none.db" in str(caught.value)
    with pytest.raises(RuleError) as refused:
        RuleTable("postgresql+psycopg://ann:secret@127.0.0.1:1/rules")
    assert "secret" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="no address that SQLAlchemy knows"):
        RuleTable("somewhere")
    with pytest.raises(ConfigurationError, match="without asyncio"):
        RuleTable("postgresql+asyncpg://ann@127.0.0.1/rules")
