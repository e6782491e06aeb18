"""Messages that need no disk: encode, decode, and await the handler, one after the other."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from benchmarks.harness import Case, Contender, Sample, Settings, run, throughput

BURST = 100


class PaymentMade(msgspec.Struct, frozen=True):
    """The message as the floor sends it."""

    id: str
    kind: str
    amount: float
    user: str


@asynccontextmanager
async def encode_decode_await(settings: Settings) -> AsyncIterator[Sample]:
    """msgspec there and back, one look into a table of handlers, one await."""
    message = PaymentMade(id="0190-aaaa-bbbb", kind="order.placed", amount=12.5, user="u-1")
    encode = msgspec.json.Encoder().encode

    async def handle(message: PaymentMade) -> None:
        pass

    table = {"payment-made": (msgspec.json.Decoder(PaymentMade).decode, handle)}

    async def send() -> None:
        decode, handler = table["payment-made"]
        await handler(decode(encode(message)))

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
