"""Single steps of docs/tutorials/adoption.md: a task that is delivered twice, a payment service that hangs up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Engine, create_engine, select
from typer.testing import CliRunner

from bookshop import tables
from bookshop.payments import charge, payments
from bookshop.tables import Base, Order, Receipt, Session, outbox
from bookshop.tasks import prune, send_receipt
from bookshop.web import NewOrder, pay_order, place_order
from insula.cli.main import application
from insula.resilience import lint
from support.processes import ROOT


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database of the test's own behind the application's sessions."""
    engine = create_engine(f"sqlite:///{tmp_path / 'bookshop.db'}")
    Base.metadata.create_all(engine)
    Session.configure(bind=engine)
    yield engine
    Session.configure(bind=tables.engine)
    engine.dispose()


# fmt: off
def test_a_receipt_is_sent_once_however_often_its_task_runs(engine: Engine) -> None:
    place_order(NewOrder(customer="ann", cents=4000))
    with Session() as session:
        (event,) = session.scalars(select(outbox.table.c.message))
    send_receipt(event)
    send_receipt(event)                                # a broker may deliver it again
    prune()
    with Session() as session:
        assert [receipt.order_number for receipt in session.scalars(select(Receipt))] == [1]
# fmt: on


class Gateway(BaseHTTPRequestHandler):
    """A payment service that hangs up on the first call, and knows by their keys what it has charged."""

    keys: list[str | None] = []

    def do_POST(self) -> None:
        self.keys.append(self.headers["idempotency-key"])
        if len(self.keys) == 1:
            self.close_connection = True
            return
        reference = f"paid {self.path} for {self.headers['idempotency-key']}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(reference)))
        self.end_headers()
        self.wfile.write(reference)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def gateway() -> Iterator[str]:
    """Its address."""
    Gateway.keys.clear()
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_payment_is_tried_again_under_its_key(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    number = place_order(NewOrder(customer="ann", cents=4000))
    with gateway() as address:
        monkeypatch.setenv("BOOKSHOP_PAYMENTS", address)
        for _ in range(2):
            assert pay_order(number) == "paid /charges/4000 for order-1"
    assert Gateway.keys == ["order-1", "order-1"]
    with Session() as session:
        assert session.scalars(select(Order.paid)).all() == ["paid /charges/4000 for order-1"]


def test_the_order_of_the_policies_makes_sense() -> None:
    assert lint(payments) == []
    assert charge.__name__ == "charge"


def test_what_crosses_boundaries_today_is_listed_and_nothing_else_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs/tutorials/adoption.md").read_text()
    written = page.partition("## 3. Boundaries")[2].partition("## 4.")[0]
    settings, terminal, listed = (
        written.split(f"```{kind}\n")[1].partition("```")[0] for kind in ("toml", "console", "text")
    )
    (tmp_path / "insula.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    updated = CliRunner().invoke(application, ["check", "--update-baseline"])
    assert terminal == f"$ insula check --update-baseline\n{updated.output}"
    lines = (tmp_path / "boundaries.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == listed.splitlines()
    assert CliRunner().invoke(application, ["check", "--baseline"]).exit_code == 0
    (tmp_path / "boundaries.txt").write_text("")
    assert CliRunner().invoke(application, ["check", "--baseline"]).exit_code == 1
