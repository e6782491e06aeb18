"""All 830 Northwind orders over HTTP, 32 in flight, on each of the databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shop.system import shop as shop_system
from support.postgres import provisioned
from support.processes import northwind, running, tool


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_every_order_ends_and_the_books_balance(tmp_path: Path, request: pytest.FixtureRequest, database: str) -> None:
    environment: dict[str, str] = {}
    if database == "postgres":
        server: Any = request.getfixturevalue("postgres_server")
        environment["INSULA_STORE_ADDRESS"] = provisioned(server.address, shop_system)
    with running(tmp_path / "data", environment=environment) as shop:
        traffic = tool("-m", "shop.traffic", "--url", shop.url, *northwind(), "--in-flight", "32", "--json")
        assert traffic.returncode == 0, traffic.stderr[-2000:] + traffic.stdout[-2000:]
        summary = json.loads(traffic.stdout)
        assert shop.stop() == 0
    assert summary["placed"] == 830, summary
    assert summary["confirmed"] >= 200, summary
    audit = tool("-m", "shop.audit", "--directory", str(tmp_path / "data"), "--json", environment=environment)
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert list((tmp_path / "data").glob("*.db")) == [] or database == "sqlite"
