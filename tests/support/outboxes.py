"""An application of its own with an outbox and an inbox, and a destination that keeps what it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table, create_engine, event, make_url

from insula.kernel.clock import Clock
from insula.messages import Envelope, Event
from insula.messaging.forwarder import Forwarder, Pace
from insula.messaging.inbox import Inbox
from insula.messaging.outbox import Outbox
from insula.messaging.outbox_queue import OutboxQueue

Value = TypeVar("Value")

TABLES = MetaData()
orders = Table("orders", TABLES, Column("number", Integer, primary_key=True), Column("customer", String))
outbox = Outbox(TABLES, source="shop")
inbox = Inbox(TABLES)


class OrderPlaced(Event, key="customer"):
    """What the application tells."""

    customer: str | None
    number: int


@contextmanager
def sqlite_engine(file: Path) -> Iterator[Engine]:
    """A database in a file, with the application's tables."""
    engine = create_engine(f"sqlite:///{file}")
    event.listen(engine, "connect", lambda connection, _: connection.execute("pragma synchronous = off"))
    TABLES.create_all(engine)
    yield engine
    engine.dispose()


@contextmanager
def postgres_engine(url: str, driver: str = "psycopg") -> Iterator[Engine]:
    """The application's tables in a database that is there."""
    engine = create_engine(make_url(url).set(drivername=f"postgresql+{driver}"))
    TABLES.create_all(engine)
    yield engine
    engine.dispose()


class DirectTransactions:
    """Transactions in the thread of the test, so that virtual time cannot pass meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.trouble: list[Exception] = []

    async def run(self, work: Callable[[Connection], Value]) -> Value:
        if self.trouble:
            raise self.trouble.pop(0)
        with self._engine.begin() as connection:
            return work(connection)


def _takes(message: Envelope) -> None:
    """Whatever it is."""


class Kept:
    """A destination that keeps what it takes, and fails with what `answer` raises."""

    address = "kept"

    def __init__(self, answer: Callable[[Envelope], None] = _takes, concurrency: int = 8) -> None:
        self.answer = answer
        self.concurrency = concurrency
        self.taken: list[Envelope] = []
        self.tried: list[Envelope] = []

    async def open(self) -> None: ...

    async def send(self, message: Envelope) -> None:
        self.tried.append(message)
        self.answer(message)
        self.taken.append(message)

    async def close(self) -> None: ...

    def numbers(self) -> list[int]:
        """Of the orders, as they were taken."""
        return [number_of(each) for each in self.taken]


def number_of(message: Envelope) -> int:
    """Of the order that a message tells of."""
    import msgspec

    return int(msgspec.json.decode(message.data)["number"])


def forwarder(engine: Engine, destination: Kept, clock: Clock, **options: Any) -> Forwarder:
    """What empties the outbox into that destination."""
    pace = options.pop("pace", Pace())
    transactions = options.pop("transactions", DirectTransactions(engine))
    return Forwarder(
        OutboxQueue(outbox, clock), transactions, destination, clock, holder="test", pace=pace, **options
    )  # fmt: skip


def place(connection: Connection, *numbers: int, customer: str | None = "ann") -> Sequence[str]:
    """Let so many orders be told of; returns the ids of the messages."""
    return [outbox.add(connection, OrderPlaced(customer=customer, number=number)) for number in numbers]


def states(engine: Engine) -> list[str]:
    """Of all messages, in order."""
    with engine.connect() as connection:
        columns = outbox.table.c
        return list(
            connection.scalars(outbox.table.select().with_only_columns(columns.state).order_by(columns.position))
        )
