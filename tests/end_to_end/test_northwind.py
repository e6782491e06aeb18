"""The shop, whole, over HTTP: the same tests on one process and on many, on each of the databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shop.system import shop as shop_system
from support.postgres import provisioned
from support.processes import northwind, running, tool
from support.topologies import shop_topologies, up


@dataclass
class Shop:
    """A running shop. Parameters: `url` of any of its processes; `directory`, where tools find it."""

    url: str
    directory: Path
    environment: dict[str, str]

    def tool(self, *arguments: str) -> Any:
        """What one of its tools tells, as JSON; it must succeed."""
        done = tool(*arguments, "--json", environment=self.environment)
        assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-3000:]
        return json.loads(done.stdout)


@contextmanager
def one_process(directory: Path, **environment: str) -> Iterator[Shop]:
    with running(directory, environment=environment) as process:
        yield Shop(process.url, directory, environment)
        assert process.stop() == 0


@contextmanager
def many(topology: str, entry: str) -> Iterator[Shop]:
    with up(topology, shop_topologies()) as processes:
        yield Shop(processes.url(entry), processes.data, {})
        assert processes.stop() == 0, processes.said()[-3000:]


@pytest.fixture(params=["local", "local on PostgreSQL", "services", "three"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    if request.param == "services":
        found = many("services", entry="notifications")  # whichever is asked knows who answers
    elif request.param == "three":
        found = many("three", entry="office")
    elif request.param == "local":
        found = one_process(tmp_path / "data")
    else:
        server: Any = request.getfixturevalue("postgres_server")
        found = one_process(tmp_path / "data", INSULA_STORE_ADDRESS=provisioned(server.address, shop_system))
    with found as running_shop:
        yield running_shop


def test_every_order_ends_and_the_books_balance(shop: Shop) -> None:
    summary = shop.tool("-m", "shop.traffic", "--url", shop.url, *northwind(), "--in-flight", "32")
    assert summary["placed"] == 830, summary
    assert summary["confirmed"] >= 200, summary
    audit = shop.tool("-m", "shop.audit", "--directory", str(shop.directory))
    assert audit["holds"], audit
    status = shop.tool("-m", "insula.cli", "status", "--directory", str(shop.directory))
    assert {each["module"] for each in status["modules"]} == {module.name for module in shop_system.modules}
