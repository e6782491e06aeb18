"""The floor over HTTP: bare ASGI, msgspec, and for the durable write the least group commit."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec

from benchmarks.group_commit import GroupCommit, durable_connection

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

CREATE = (
    "create table orders (id text primary key, reference text not null, sku text not null,"
    " quantity integer not null, amount text not null, at text not null, note text)"
)
INSERT = "insert into orders (id, reference, sku, quantity, amount, at, note) values (?, ?, ?, ?, ?, ?, ?)"


class Order(msgspec.Struct, frozen=True):
    reference: UUID
    sku: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    quantity: Annotated[int, msgspec.Meta(ge=1)]
    amount: Decimal
    at: datetime
    note: str | None = None


class PricedOrder(msgspec.Struct, frozen=True):
    reference: UUID
    sku: str
    quantity: int
    total: Decimal
    at: datetime


decode = msgspec.json.Decoder(Order).decode
encode = msgspec.json.Encoder().encode
log: GroupCommit | None = None


def price(order: Order) -> PricedOrder:
    total = order.amount * order.quantity
    return PricedOrder(reference=order.reference, sku=order.sku, quantity=order.quantity, total=total, at=order.at)


async def place(order: Order) -> str:
    """Insert the order and return its id once it is durable."""
    assert log is not None
    order_id = str(uuid4())
    row = (order_id, str(order.reference), order.sku, order.quantity)
    await log.append((*row, str(order.amount), order.at.isoformat(), order.note))
    return order_id


async def lifespan(receive: Receive, send: Send) -> None:
    global log
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            file = Path(os.environ["BENCHMARK_DIRECTORY"]) / f"raw-{uuid4()}.db"
            log = GroupCommit(durable_connection(file, CREATE), INSERT, ThreadPoolExecutor(1))
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    status = 200
    answer: object = None
    if scope["method"] == "POST":
        try:
            order = decode(body)
        except msgspec.ValidationError as error:
            status, answer = 422, {"detail": str(error)}
        else:
            if scope["path"] == "/orders":
                status, answer = 201, await place(order)
            else:
                answer = price(order)
    content = encode(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
