"""The steps of docs/tutorials/adoption.md, as its reader takes them: real processes, a real queue, real databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import Engine, create_engine, func, make_url, select

from bookshop.tables import Base, Order, Receipt, outbox
from insula.adapters.postgres.address import Address
from support.neighbourhood import free_port
from support.processes import ROOT, pause, running

PATH = os.pathsep.join(str(ROOT / part) for part in ("src", "examples"))
WORKER = ("celery", "-A", "bookshop.tasks", "worker", "-P", "solo", "--without-gossip", "--without-mingle")
RELAY = ("insula.cli", "relay", "bookshop.tables:outbox", "--to", "celery:bookshop.tasks:app")


class Bookshop:
    """The application on one database, with a folder for a broker.

    Parameters: `database`, as SQLAlchemy takes it; `folder`, where the queue and what processes print lie.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        for name in ("queue", "queue/control"):
            (folder / name).mkdir()
        database = engine.url.render_as_string(hide_password=False)
        self.environment = {
            "PYTHONPATH": PATH,
            "BOOKSHOP_DATABASE": database,
            "BOOKSHOP_BROKER": "filesystem://",
            "BOOKSHOP_QUEUE": str(folder / "queue"),
            "INSULA_RELAY_DATABASE": database,
            "INSULA_RELAY_LEASE_SECONDS": "1",
        }

    @contextmanager
    def process(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A Python module that runs for a while."""
        with (self.folder / f"{arguments[0]}.output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=self.folder, env={**os.environ, **self.environment},
                stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)

    def count(self, what: type[Any]) -> int:
        """How many rows there are."""
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(what)) or 0

    def receipts(self) -> list[tuple[str, int]]:
        """Customer and order of every receipt, in the order in which they were sent."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(Receipt.customer, Receipt.order_number).order_by(Receipt.id))
            return [tuple(row) for row in rows]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """For half a minute at most."""
        for _ in range(600):
            if condition():
                return
            pause(0.05)
        told = {file.name: file.read_text()[-1500:] for file in self.folder.glob("*.output")}
        raise AssertionError(f"it did not come to pass: {told}")


def post(url: str, body: dict[str, object] | None = None) -> tuple[int, Any]:
    """Status and JSON of the answer."""
    request = Request(url, data=json.dumps(body or {}).encode(), headers={"content-type": "application/json"})
    with urlopen(request, timeout=10) as response:
        return response.status, json.load(response)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Bookshop]:
    """The application as its reader first has it."""
    engine = create_engine(f"sqlite:///{tmp_path / 'bookshop.db'}")
    Base.metadata.create_all(engine)
    yield Bookshop(engine, tmp_path)
    engine.dispose()


@pytest.fixture
def on_postgres(tmp_path: Path, postgres_address: Address) -> Iterator[Bookshop]:
    """The application on PostgreSQL, which a module may share with it."""
    engine = create_engine(make_url(postgres_address.url).set(drivername="postgresql+psycopg"))
    Base.metadata.create_all(engine)
    shop = Bookshop(engine, tmp_path)
    shop.environment |= {"INSULA_STORE_ADDRESS": postgres_address.url, "INSULA_STORE_DIRECTORY": str(tmp_path / "data")}
    yield shop
    engine.dispose()


def is_there(url: str) -> bool:
    try:
        urlopen(url, timeout=2).close()
    except URLError:
        return False
    return True


def test_step_1_every_order_gets_one_receipt_though_the_relay_is_killed(on_sqlite: Bookshop) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        stack.enter_context(on_sqlite.process("uvicorn", "bookshop.web:app", "--port", url.rpartition(":")[2]))
        on_sqlite.wait_for(lambda: is_there(f"{url}/docs"))
        for number in range(10):
            assert post(f"{url}/orders", {"customer": f"customer {number % 2}", "cents": 100})[0] == 201
        with on_sqlite.process(*RELAY):
            on_sqlite.wait_for(lambda: any((on_sqlite.folder / "queue").glob("*.msg")))
        stack.enter_context(on_sqlite.process(*RELAY))
        stack.enter_context(on_sqlite.process(*WORKER))
        post(f"{url}/orders", {"customer": "the last", "cents": 100})
        on_sqlite.wait_for(lambda: on_sqlite.count(Receipt) == 11)
    assert sorted(on_sqlite.receipts()) == sorted(
        [(f"customer {n % 2}", n + 1) for n in range(10)] + [("the last", 11)]
    )
    with on_sqlite.engine.connect() as connection:
        assert set(connection.scalars(select(outbox.table.c.state))) == {"sent"}


def test_step_4_the_mounted_application_answers_as_before(on_postgres: Bookshop) -> None:
    with running(
        on_postgres.folder / "data", target="bookshop.mounted:shop", environment=on_postgres.environment
    ) as it:
        assert post(f"{it.url}/orders", {"customer": "ann", "cents": 100}) == (201, 1)
        with urlopen(f"{it.url}/orders/1") as response:
            assert json.load(response) == {"number": 1, "customer": "ann", "cents": 100, "paid": None}
        assert it.stop() == 0
    assert (on_postgres.count(Order), on_postgres.count(outbox.table)) == (1, 1)


def test_step_5_a_feature_is_a_handler_on_the_same_database_and_its_task_stays(on_postgres: Bookshop) -> None:
    target = "bookshop.one_feature:shop"
    with (
        running(on_postgres.folder / "data", target=target, environment=on_postgres.environment) as it,
        on_postgres.process(*RELAY),
        on_postgres.process(*WORKER),
    ):
        assert post(f"{it.url}/orders", {"customer": "ann", "cents": 100}) == (201, 1)
        on_postgres.wait_for(lambda: on_postgres.receipts() == [("ann", 1)])
        with urlopen(f"{it.url}/orders/1") as response:
            assert json.load(response)["customer"] == "ann"
        assert it.stop() == 0


def test_step_6_its_task_is_a_handler_too_and_no_relay_is_needed(on_postgres: Bookshop) -> None:
    target = "bookshop.background_jobs:shop"
    with running(on_postgres.folder / "data", target=target, environment=on_postgres.environment) as it:
        for number in range(1, 4):
            assert post(f"{it.url}/orders", {"customer": "ann", "cents": 100}) == (201, number)
        on_postgres.wait_for(lambda: on_postgres.receipts() == [("ann", 1), ("ann", 2), ("ann", 3)])
        assert it.stop() == 0
    assert on_postgres.count(outbox.table) == 0
