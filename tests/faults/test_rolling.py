"""A module is replaced by a newer version while it runs: both stand side by side, and nothing is parked or lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from insula.runtime.local.nats import LocalNats
from insula.runtime.local.postgres import LocalPostgres
from support.postgres import PASSWORD
from support.processes import SystemProcess, pause, tool
from support.topologies import free_ports

MARKET = """
import os
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select
from insula import Command, Event, Module, Query, System, UnitOfWork

NEWER = os.environ["VERSION"] == "2"
orders, loyalty = Module("orders"), Module("loyalty", tables=MetaData())
earned = Table("earned", loyalty.tables, Column("number", Integer), Column("kind", String))

class PlaceOrder(Command[None]):
    number: int

class OrderPlaced(Event, key="number"):
    number: int

class Count(Query[int]):
    kind: str

@orders.post("/orders", status=201)
@orders.handle(PlaceOrder)
async def place_order(command: PlaceOrder, work: UnitOfWork) -> None:
    work.publish(OrderPlaced(number=command.number))
    if NEWER:
        work.publish(OrderRated(number=command.number))

@loyalty.on(OrderPlaced)
async def earn(event: OrderPlaced, work: UnitOfWork) -> None:
    await work.execute(insert(earned).values(number=event.number, kind="placed"))

@loyalty.get("/count/{kind}")
@loyalty.handle(Count)
async def count(query: Count, work: UnitOfWork) -> int:
    return await work.scalar(select(func.count()).select_from(earned).where(earned.c.kind == query.kind)) or 0

if NEWER:
    class OrderRated(Event, key="number"):
        number: int

    @loyalty.on(OrderRated)
    async def rate(event: OrderRated, work: UnitOfWork) -> None:
        await work.execute(insert(earned).values(number=event.number, kind="rated"))

market = System("market", orders, loyalty)
"""


class Market:
    """The processes of the market, each in a version. Parameters: `folder`, with `market.py` and `insula.toml`."""

    def __init__(self, folder: Path, first_port: int) -> None:
        self.folder = folder
        self.entry = f"http://127.0.0.1:{first_port}"
        self.placed = 0

    def process(self, name: str, version: int) -> SystemProcess:
        """One of them; it is not started yet."""
        return SystemProcess(
            self.folder / "data", target="market:market", cwd=self.folder, part=("apart", name),
            environment={"VERSION": str(version)},
        )  # fmt: skip

    def place(self, count: int) -> None:
        """Place orders; each must be accepted."""
        for _ in range(count):
            self.placed += 1
            self._ask("/orders", {"number": self.placed})

    def count(self, kind: str) -> int:
        """How many loyalty has heard of."""
        return int(self._ask(f"/count/{kind}"))

    def _ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.entry}{path}", data, {"content-type": "application/json"}), timeout=20) as answer:
            return json.loads(answer.read() or b"null")

    def until(self, kind: str, expected: int) -> None:
        """Wait until loyalty has heard of so many."""
        found = -1
        for _ in range(600):
            found = self.count(kind)
            if found >= expected:
                break
            pause(0.05)
        assert found == expected


@pytest.fixture
def market(tmp_path: Path, postgres_server: LocalPostgres) -> Iterator[Market]:
    first, name = free_ports(3), f"market_{tmp_path.name}_{{module}}".replace("-", "_").lower()
    with LocalNats(tmp_path / "nats") as broker:
        (tmp_path / "market.py").write_text(MARKET)
        (tmp_path / "token").write_text("a word that all of them know")
        address = f"postgresql://{name}@127.0.0.1:{postgres_server.port}/{name}"
        (tmp_path / "password").write_text(PASSWORD)
        (tmp_path / "insula.toml").write_text(
            f'[store]\naddress = "{address}"\npassword_file = "{tmp_path / "password"}"\n'
            f'[topology.apart]\ndatabase = "{address}"\ntransport = "{broker.url}"\ntoken_file = "token"\n'
            f'first_port = {first}\n[topology.apart.processes.orders]\nmodules = ["orders"]\n'
            '[topology.apart.processes.loyalty]\nmodules = ["loyalty"]\nreplicas = 2\n'
        )
        provisioned = tool(
            "-m", "insula.cli", "provision", "market:market", "--config", str(tmp_path / "insula.toml"),
            "--administrator", postgres_server.address, environment={"VERSION": "1"}, cwd=tmp_path,
        )  # fmt: skip
        assert provisioned.returncode == 0, provisioned.stderr
        yield Market(tmp_path, first)


def test_the_newer_version_takes_what_the_older_does_not_know(market: Market) -> None:
    with ExitStack() as running:

        def start(name: str, version: int) -> SystemProcess:
            process = market.process(name, version)
            running.callback(process.kill)
            process.start()
            return process

        orders, first = start("orders", 1), start("loyalty-1", 1)
        market.place(20)
        market.until("placed", 20)
        start("loyalty-2", 2)  # stands by, for the older one moves messages
        assert orders.stop() == 0
        start("orders", 2)
        market.place(20)  # each sends what loyalty-1 does not know
        market.until("rated", 20)
        market.until("placed", 40)
        assert first.stop() == 0
        start("loyalty-1", 2)
        market.place(20)
        market.until("rated", 40)
        market.until("placed", 60)
        letters = tool(
            "-m", "insula.cli", "dead-letters", "list", "market:market", "--waiting", "--json", "--config",
            str(market.folder / "insula.toml"), environment={"VERSION": "2"}, cwd=market.folder,
        )  # fmt: skip
        assert json.loads(letters.stdout) == [], letters.stderr
