"""A cursor that moves on before the effect.

The bug: the consumer tells the stream that it has taken a batch, and books the batch afterwards. If it dies in between,
or its transaction fails, the batch is never seen again.
In the wild: automatic offset commits of Kafka clients, `auto_ack` in RabbitMQ, "at most once" by accident.
The cure: the cursor lies beside the effect and moves in the same transaction.
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from insula import Command, Module, System, UnitOfWork
from insula.simulation import Simulation, Snapshot, eventually

INVARIANT = "everything in the stream is booked once"

TABLES = MetaData()
bookings = Table("bookings", TABLES, Column("offset", Integer), Column("euros", Integer))


class BookPayments(Command[None]):
    pass


class Stream:
    """Keeps a cursor for consumers that want one."""

    payments = (10, 20, 30)

    def __init__(self) -> None:
        self.cursor = 0

    async def poll(self) -> list[tuple[int, int]]:
        return await self.read(self.cursor)

    async def read(self, after: int) -> list[tuple[int, int]]:
        return list(enumerate(self.payments, 1))[after:]

    async def commit(self, offset: int) -> None:
        self.cursor = offset


async def commit_then_book(command: BookPayments, stream: Stream, work: UnitOfWork) -> None:
    batch = await stream.poll()
    await stream.commit(batch[-1][0] if batch else 0)
    for offset, euros in batch:
        await work.execute(insert(bookings).values(offset=offset, euros=euros))


async def book_with_the_cursor(command: BookPayments, stream: Stream, work: UnitOfWork) -> None:
    cursor = (await work.peek(select(func.max(bookings.c.offset))))[0][0] or 0
    for offset, euros in await stream.read(cursor):
        await work.execute(insert(bookings).values(offset=offset, euros=euros))


@eventually
def everything_in_the_stream_is_booked_once(state: Snapshot) -> None:
    booked = [row.euros for row in state.rows("ledger", select(bookings).order_by(bookings.c.offset))]
    asked = state.scalar("ledger", "select count(*) from insula_inbox")
    assert booked == (list(Stream.payments) if asked else [])


def build(broken: bool) -> Simulation:
    ledger = Module("ledger", tables=TABLES)
    ledger.bind(Stream, Stream)
    ledger.handle(BookPayments)(commit_then_book if broken else book_with_the_cursor)
    return Simulation(
        System("payments", ledger),
        [BookPayments()],
        [everything_in_the_stream_is_booked_once],
        topology="together",
        ports={Stream: Stream},
    )
