"""An aggregate of the eventsourcing library that gets one event a save, on its SQLite or PostgreSQL recorder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Order(Aggregate):
    """An order with a running total. The library finds it by its module and name, so it cannot be local."""

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.total = Decimal(0)

    @event("LineAdded")
    def add_line(self, line: str, sku: str, amount: Decimal, at: datetime) -> None:
        self.total += amount


class Orders(Application[UUID]):
    """The application service; its name is the log's name."""


def application(file: Path) -> Orders:
    return Orders(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(file)})


def postgres_application(address: str) -> Orders:
    """The same on a server. Parameters: `address`, postgresql://role:password@host:port/database."""
    parts = urlsplit(address)
    environment = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.strip("/"),
        "POSTGRES_HOST": str(parts.hostname),
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": str(parts.username),
        "POSTGRES_PASSWORD": str(parts.password),
    }
    return Orders(env=environment)


def appender(orders: Orders, aggregates: int) -> Callable[[], None]:
    """Return a function that adds one event to the next of `aggregates` orders and saves it."""
    known = [Order(reference=str(number)) for number in range(aggregates)]
    orders.save(*known)
    numbers = count()

    def append() -> None:
        order = known[next(numbers) % aggregates]
        order.add_line(line=str(uuid4()), sku="sku-1", amount=Decimal("12.50"), at=NOW)
        orders.save(order)

    return append
