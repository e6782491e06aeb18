"""What the application keeps; the outbox and the inbox are two tables more among its own."""

from __future__ import annotations

import os

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from insula import Event, Inbox, Outbox


class Base(DeclarativeBase):
    """The application's metadata, which its migrations are made from."""


class Order(Base):
    """What somebody has ordered. `paid` is the reference of the payment."""

    __tablename__ = "orders"
    number: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    cents: Mapped[int]
    paid: Mapped[str | None] = mapped_column(default=None)


class Receipt(Base):
    """A receipt that was sent: twice for one order would be one too many."""

    __tablename__ = "receipts"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_number: Mapped[int]
    customer: Mapped[str]


# fmt: off
class OrderPlaced(Event, key="customer"):
    number: int
    customer: str
    cents: int

outbox = Outbox(Base.metadata, source="bookshop")      # their tables join your Alembic metadata
inbox = Inbox(Base.metadata)
# fmt: on

engine = create_engine(os.environ.get("BOOKSHOP_DATABASE", "sqlite:///bookshop.db"))
Session = sessionmaker(engine)
