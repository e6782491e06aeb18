"""A message of an application's outbox is a command of a module over HTTP: sent twice, it has one effect."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Column, MetaData, String, Table, insert, select

from insula import Command, Module, System, UnitOfWork
from insula.adapters.asgi.server import serve
from insula.adapters.http.destination import HttpDestination
from insula.kernel.clock import SystemClock
from insula.messages import Envelope
from insula.runtime.application import Application
from insula.runtime.process import http_face
from support.neighbourhood import free_port
from support.outboxes import DirectTransactions, OrderPlaced, forwarder, outbox, sqlite_engine

receipts = Module("receipts", tables=MetaData())
sent = Table("sent", receipts.tables, Column("customer", String))


class Placed(Struct, frozen=True):
    """What the module needs of the event."""

    customer: str


class SendReceipt(Command[None]):
    """The CloudEvent, as far as it matters."""

    data: Placed


@receipts.post("/receipts")
@receipts.handle(SendReceipt)
async def send_receipt(command: SendReceipt, work: UnitOfWork) -> None:
    await work.execute(insert(sent).values(customer=command.data.customer))


class Twice(HttpDestination):
    """Whoever sends it does not hear the first answer."""

    async def send(self, message: Envelope) -> None:
        await super().send(message)
        await super().send(message)
        taken.set()


taken = asyncio.Event()


async def test_a_module_takes_a_message_once(tmp_path: Path) -> None:
    port, stopping, ready = free_port(), asyncio.Event(), asyncio.Event()
    with sqlite_engine(tmp_path / "shop.db") as engine:
        with engine.begin() as connection:
            outbox.add(connection, OrderPlaced(customer="ann", number=1))
        async with Application(System("shop", receipts), directory=tmp_path / "data") as application:
            serving = asyncio.ensure_future(
                serve(
                    http_face(application), host="127.0.0.1", port=port, stopping=stopping,
                    on_ready=lambda _: ready.set(), drain_seconds=1,
                )
            )  # fmt: skip
            await ready.wait()
            destination = Twice(f"http://127.0.0.1:{port}/receipts")
            relay = forwarder(engine, destination, SystemClock(), transactions=DirectTransactions(engine))
            running = asyncio.ensure_future(relay.run())
            await taken.wait()
            relay.stop()
            await running
            await destination.close()
            stopping.set()
            await serving
            rows = await application.wired.databases["receipts"].read(select(sent))
            assert [tuple(row) for row in rows] == [("ann",)]
