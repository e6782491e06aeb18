"""Ours over HTTP: one module as a user writes it, run by `insula run`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, insert

from insula import Command, Context, Module, Query, System, UnitOfWork

Sku = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Quantity = Annotated[int, msgspec.Meta(ge=1)]

orders = Module("orders", tables=MetaData())
orders_table = Table(
    "orders",
    orders.tables,
    Column("id", String, primary_key=True),
    Column("reference", String, nullable=False),
    Column("sku", String, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("amount", String, nullable=False),
    Column("at", DateTime, nullable=False),
    Column("note", String),
)


class PricedOrder(msgspec.Struct, frozen=True):
    reference: UUID
    sku: str
    quantity: int
    total: Decimal
    at: datetime


class GetPrice(Query[PricedOrder]):
    reference: UUID
    sku: Sku
    quantity: Quantity
    amount: Decimal
    at: datetime
    note: str | None = None


class PlaceOrder(Command[str]):
    reference: UUID
    sku: Sku
    quantity: Quantity
    amount: Decimal
    at: datetime
    note: str | None = None


@orders.post("/price")
@orders.handle(GetPrice)
async def get_price(query: GetPrice) -> PricedOrder:
    total = query.amount * query.quantity
    return PricedOrder(reference=query.reference, sku=query.sku, quantity=query.quantity, total=total, at=query.at)


@orders.post("/orders", status=201)
@orders.handle(PlaceOrder)
async def place_order(command: PlaceOrder, context: Context, work: UnitOfWork) -> str:
    order_id = context.new_id()
    row = {
        "id": order_id,
        "reference": str(command.reference),
        "sku": command.sku,
        "quantity": command.quantity,
        "amount": str(command.amount),
        "at": command.at,
        "note": command.note,
    }
    await work.execute(insert(orders_table), row)
    return order_id


shop = System("shop", orders)
