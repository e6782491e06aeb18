"""Messages in process, which need no disk, and over NATS JetStream (described in `jetstream.py`).

In process: encode, decode, and await the handler, one after the other. Ours decodes the message as an adapter does and
calls it on the bus of a running system; it is a query, since commands are durable. A handler that takes ports costs
more, since they are made for each message: `in process, with ports`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from benchmarks import jetstream
from benchmarks.harness import Case, Contender, Sample, Settings, run, throughput
from insula import Caller, Context, Module, Query, System, UnitOfWork
from insula.messages import decoder, encode
from insula.runtime.application import Application

BURST = 100


class PaymentMade(msgspec.Struct, frozen=True):
    """The message as the floor sends it."""

    id: str
    kind: str
    amount: float
    user: str


payments = Module("payments")


class CheckPayment(Query[None]):
    """The same message as ours carries it."""

    id: str
    kind: str
    amount: float
    user: str


class CheckPaymentOfCaller(CheckPayment):
    """The same again, for a handler with ports."""


@payments.handle(CheckPayment)
async def check_payment(query: CheckPayment) -> None:
    pass


@payments.handle(CheckPaymentOfCaller)
async def check_payment_of_caller(
    query: CheckPaymentOfCaller, caller: Caller, context: Context, work: UnitOfWork
) -> None:
    pass


@asynccontextmanager
async def bus(settings: Settings, message_class: type[CheckPayment]) -> AsyncIterator[Sample]:
    """Encode, decode, and call the handler through the bus."""
    message = message_class(id="0190-aaaa-bbbb", kind="order.placed", amount=12.5, user="u-1")
    decode = decoder(message_class)
    folder = settings.directory / message_class.__name__
    async with Application(System("benchmark", payments), directory=folder) as ours:
        call = ours.bus.call

        async def send() -> None:
            await call(decode(encode(message)))

        async def sample() -> float:
            return await throughput(send, seconds=settings.seconds, burst=BURST)

        yield sample


@asynccontextmanager
async def encode_decode_await(settings: Settings) -> AsyncIterator[Sample]:
    """msgspec there and back, one look into a table of handlers, one await."""
    message = PaymentMade(id="0190-aaaa-bbbb", kind="order.placed", amount=12.5, user="u-1")
    encode_json = msgspec.json.Encoder().encode

    async def handle(message: PaymentMade) -> None:
        pass

    table = {"payment-made": (msgspec.json.Decoder(PaymentMade).decode, handle)}

    async def send() -> None:
        decode, handler = table["payment-made"]
        await handler(decode(encode_json(message)))

    async def sample() -> float:
        return await throughput(send, seconds=settings.seconds, burst=BURST)

    yield sample


@asynccontextmanager
async def faststream_in_memory(settings: Settings) -> AsyncIterator[Sample]:
    """The broker FastStream gives for tests: it serialises, routes, validates and awaits the subscriber."""
    from faststream.nats import NatsBroker, TestNatsBroker
    from pydantic import BaseModel

    class Payment(BaseModel):
        id: str
        kind: str
        amount: float
        user: str

    logging.getLogger("faststream").setLevel(logging.CRITICAL)
    broker = NatsBroker(logger=None)

    @broker.subscriber("payments")
    async def handle(message: Payment) -> None:
        pass

    message = Payment(id="0190-aaaa-bbbb", kind="order.placed", amount=12.5, user="u-1")
    async with TestNatsBroker(broker):

        async def send() -> None:
            await broker.publish(message, "payments")

        async def sample() -> float:
            return await throughput(send, seconds=settings.seconds, burst=BURST)

        yield sample


FLOOR = Contender("msgspec and an await", encode_decode_await)
PEERS = (Contender("FastStream TestNatsBroker", faststream_in_memory, packages=("faststream", "nats")),)
CASES = (
    Case(
        name="in process",
        unit="messages/s",
        better="higher",
        ours=Contender("Insula", lambda settings: bus(settings, CheckPayment)),
        floor=FLOOR,
        peers=PEERS,
        target="≥ 25 × peer",
    ),
    Case(
        name="in process, with ports",
        unit="messages/s",
        better="higher",
        ours=Contender("Insula", lambda settings: bus(settings, CheckPaymentOfCaller)),
        floor=FLOOR,
        peers=PEERS,
        target="≥ 25 × peer",
    ),
    Case(
        name="jetstream",
        unit="messages/s",
        better="higher",
        ours=Contender("Insula, durable at both ends", jetstream.insula, packages=("nats",)),
        floor=Contender("nats-py alone", jetstream.nats_py, packages=("nats",)),
        peers=(Contender("FastStream on NATS", jetstream.faststream, packages=("faststream", "nats")),),
        target="≥ 0.4 × floor",
    ),
)

if __name__ == "__main__":
    run((__doc__ or "").partition("\n\n")[0], CASES)
