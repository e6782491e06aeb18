"""The peer over HTTP: FastAPI, pydantic and SQLAlchemy, driven as well as we know.

The durable write exists twice: as its documentation shows it, a `def` endpoint with an ORM session of its own, and as
fast as we could make it, an `async def` endpoint that hands a Core insert to one writer thread. SQLite lets one
connection write at a time, and those that find it busy sleep and poll; so the engine has exactly one connection, for
which threads queue. More connections were slower in both.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, event, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker


class Order(BaseModel):
    reference: UUID
    sku: str = Field(min_length=1, max_length=40)
    quantity: int = Field(ge=1)
    amount: Decimal
    at: datetime
    note: str | None = None


class PricedOrder(BaseModel):
    reference: UUID
    sku: str
    quantity: int
    total: Decimal
    at: datetime


class Base(DeclarativeBase):
    pass


class OrderRow(Base):
    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str]
    sku: Mapped[str]
    quantity: Mapped[int]
    amount: Mapped[str]
    at: Mapped[datetime]
    note: Mapped[str | None]


database = Path(os.environ["BENCHMARK_DIRECTORY"]) / f"fastapi-{uuid4()}.db"
engine = create_engine(f"sqlite:///{database}", pool_size=1, max_overflow=0)


@event.listens_for(engine, "connect")
def make_durable(connection: Any, record: object) -> None:
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")


Base.metadata.create_all(engine)
new_session = sessionmaker(engine)
application = FastAPI()
writer = ThreadPoolExecutor(1)


def session() -> Iterator[Session]:
    with new_session() as opened:
        yield opened


def columns(order: Order) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "reference": str(order.reference),
        "sku": order.sku,
        "quantity": order.quantity,
        "amount": str(order.amount),
        "at": order.at,
        "note": order.note,
    }


def insert_row(order: Order) -> str:
    """Insert the order with Core and return its id once it is durable."""
    row = columns(order)
    with engine.begin() as connection:
        connection.execute(insert(OrderRow), row)
    order_id: str = row["id"]
    return order_id


@application.get("/ready")
async def ready() -> None:
    return None


@application.post("/price")
async def price(order: Order) -> PricedOrder:
    total = order.amount * order.quantity
    return PricedOrder(reference=order.reference, sku=order.sku, quantity=order.quantity, total=total, at=order.at)


@application.post("/orders", status_code=201)
def place(order: Order, session: Annotated[Session, Depends(session)]) -> str:
    row = columns(order)
    session.add(OrderRow(**row))
    session.commit()
    order_id: str = row["id"]
    return order_id


@application.post("/orders-by-one-writer", status_code=201)
async def place_by_one_writer(order: Order) -> str:
    return await asyncio.get_running_loop().run_in_executor(writer, insert_row, order)
