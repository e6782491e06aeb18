"""The small event that all contenders of the log store: as a row for the floor, and as a command for ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from uuid import uuid4

import msgspec

from insula import Command, Event, Module, UnitOfWork
from insula.messaging.bus import Bus

STREAMS = 64
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class LineAddedRecord(msgspec.Struct, frozen=True):
    """The event as the floor stores it."""

    line: str
    sku: str
    amount: Decimal
    at: datetime


def new_rows() -> Callable[[], tuple[str, int, str, bytes]]:
    """Return a function that makes the next row, its event encoded, on one of a few streams by turns."""
    streams = [str(uuid4()) for _ in range(STREAMS)]
    encode = msgspec.json.Encoder().encode
    numbers = count()

    def row() -> tuple[str, int, str, bytes]:
        number = next(numbers)
        event = LineAddedRecord(line=str(uuid4()), sku="sku-1", amount=Decimal("12.50"), at=NOW)
        return streams[number % STREAMS], number // STREAMS, "LineAdded", encode(event)

    return row


log = Module("log")


class LineAdded(Event, key="order"):
    """The event as ours publishes it."""

    order: str
    line: str
    sku: str
    amount: Decimal
    at: datetime


class AddLine(Command[None]):
    """Add a line to an order."""

    order: str
    line: str
    sku: str
    amount: Decimal
    at: datetime


@log.handle(AddLine)
async def add_line(command: AddLine, work: UnitOfWork) -> None:
    work.publish(
        LineAdded(order=command.order, line=command.line, sku=command.sku, amount=command.amount, at=command.at)
    )


def order_lines(bus: Bus) -> Callable[[], Awaitable[None]]:
    """Return a function that calls the command for the next of a few orders by turns."""
    streams = [str(uuid4()) for _ in range(STREAMS)]
    numbers = count()

    async def append() -> None:
        order = streams[next(numbers) % STREAMS]
        await bus.call(AddLine(order=order, line=str(uuid4()), sku="sku-1", amount=Decimal("12.50"), at=NOW))

    return append
