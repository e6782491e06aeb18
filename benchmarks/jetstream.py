"""Messages over NATS JetStream, from publishing to the acknowledgement, 64 at a time; one server for all contenders.

Ours goes from one module's log to another module's handler, durable at both ends: read from the log, published,
received, marked in the inbox with what the handler writes, remembered, acknowledged. Floor and peer keep nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from benchmarks.harness import Sample, Settings
from insula import Event, Module, System, UnitOfWork
from insula.messages import Envelope, encode
from insula.runtime.application import Application
from insula.runtime.local.nats import LocalNats
from insula.runtime.surroundings import Surroundings
from insula.store.database import Scope, Unit

IN_FLIGHT = 64
_BACKLOG = 4096
_running: dict[Path, LocalNats] = {}


class Payment(msgspec.Struct, frozen=True):
    """The message as the floor sends it."""

    id: str
    kind: str
    amount: float
    user: str


sales, ledger = Module("sales"), Module("ledger")


class Paid(Event, key="user"):
    """The same message as ours carries it."""

    id: str
    kind: str
    amount: float
    user: str


handled = 0


@ledger.on(Paid)
async def enter(event: Paid, work: UnitOfWork) -> None:
    global handled
    handled += 1


@contextmanager
def server(folder: Path) -> Iterator[LocalNats]:
    """The server that all contenders of a run share; the first starts it, the last stops it."""
    found = _running.get(folder)
    if found is not None:
        yield found
        return
    with LocalNats(folder / "nats") as started:
        _running[folder] = started
        try:
            yield started
        finally:
            del _running[folder]


class Nowhere:
    """Nobody is called in this benchmark."""

    async def call(self, module: str, message: Any, context: Any) -> Any:
        raise NotImplementedError


@asynccontextmanager
async def insula(settings: Settings) -> AsyncIterator[Sample]:
    """Two applications in this process, each with a connection and a database of its own."""
    from insula.adapters.nats.transport import NatsTransport

    with server(settings.directory) as broker:

        def application(module: str) -> Application:
            surroundings = Surroundings(transport=NatsTransport(broker.url), neighbours=Nowhere())
            folder = settings.directory / module
            system = System("benchmark", sales, ledger)
            return Application(system, directory=folder, surroundings=surroundings, only=[module])

        async with application("sales") as source, application("ledger"):
            database, numbers = source.wired.databases["sales"], count()

            async def append() -> None:
                envelopes = [paid(f"u-{next(numbers) % 1000}") for _ in range(IN_FLIGHT)]

                async def body(unit: Unit) -> None:
                    await unit.append(envelopes)

                await database.perform(body, Scope("feeding the log"))

            async def sample() -> float:
                return await flowing(append, settings.seconds)

            yield sample


def paid(user: str) -> Envelope:
    event = Paid(id="0190-aaaa-bbbb", kind="order.placed", amount=12.5, user=user)
    message_id = str(uuid4())
    return Envelope(
        id=message_id, source="sales", type="Paid", kind="event", version=1, subject=user, time=datetime.now(UTC),
        data=encode(event), correlation_id=message_id, causation_id=None, traceparent=None, caller="anonymous",
    )  # fmt: skip


async def flowing(append: Callable[[], Awaitable[None]], seconds: float) -> float:
    """Keep the log a little ahead, and count what is handled; then let the rest through."""
    appended, before = 0, handled
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        if appended - (handled - before) < _BACKLOG:
            await append()
            appended += IN_FLIGHT
        else:
            await asyncio.sleep(0.001)
    while handled - before < appended:
        await asyncio.sleep(0.001)
    return appended / (time.perf_counter() - started)


@asynccontextmanager
async def nats_py(settings: Settings) -> AsyncIterator[Sample]:
    """64 tasks publish and await the server's word; a subscription decodes and acknowledges."""
    from nats import connect

    with server(settings.directory) as broker:
        async with await connect(broker.url) as client:
            context = client.jetstream()
            await context.add_stream(name="floor", subjects=["floor.>"], storage="file")
            message = Payment(id="0190-aaaa-bbbb", kind="order.placed", amount=12.5, user="u-1")
            write, read = msgspec.json.Encoder().encode, msgspec.json.Decoder(Payment).decode
            flow = Flow()

            async def take(delivered: Any) -> None:
                read(delivered.data)
                await delivered.ack()
                flow.taken()

            await context.subscribe("floor.a", cb=take, manual_ack=True)

            async def publish() -> None:
                await context.publish("floor.a", write(message))

            yield lambda: flow.measure(publish, settings.seconds)


@asynccontextmanager
async def faststream(settings: Settings) -> AsyncIterator[Sample]:
    """FastStream's NATS broker: 64 tasks publish a pydantic model, a subscriber on a pull consumer takes it."""
    from faststream.nats import JStream, NatsBroker, PullSub
    from nats import connect
    from pydantic import BaseModel

    class PaymentModel(BaseModel):
        id: str
        kind: str
        amount: float
        user: str

    logging.getLogger("faststream").setLevel(logging.CRITICAL)
    with server(settings.directory) as nats_server:
        async with await connect(nats_server.url) as client:
            await client.jetstream().add_stream(name="peer", subjects=["peer.>"], storage="file")
        broker, flow = NatsBroker(nats_server.url, logger=None), Flow()
        stream = JStream("peer", subjects=["peer.>"], declare=False)

        @broker.subscriber("peer.a", stream=stream, durable="peer", pull_sub=PullSub(batch_size=100))
        async def take(message: PaymentModel) -> None:
            flow.taken()

        message = PaymentModel(id="0190-aaaa-bbbb", kind="order.placed", amount=12.5, user="u-1")
        await broker.start()
        try:

            async def publish() -> None:
                await broker.publish(message, "peer.a", stream="peer")

            yield lambda: flow.measure(publish, settings.seconds)
        finally:
            await broker.stop()


class Flow:
    """Counts what is published and taken."""

    def __init__(self) -> None:
        self._taken = 0

    def taken(self) -> None:
        self._taken += 1

    async def measure(self, publish: Callable[[], Awaitable[Any]], seconds: float) -> float:
        """Messages a second of 64 publishers, until all that they have published was taken."""
        self._taken, published = 0, 0
        started = time.perf_counter()

        async def work() -> None:
            nonlocal published
            while time.perf_counter() < started + seconds:
                await publish()
                published += 1

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        while self._taken < published:
            await asyncio.sleep(0.001)
        return published / (time.perf_counter() - started)
