"""A relay that reads what is not committed.

The bug: a relay of one's own reads the outbox through the connection that also writes. It sees rows of a transaction
that is still open, and tells what may never become true: here the table is booked again later, until another hour.
In the wild: READ UNCOMMITTED, one connection for everything, units that share a commit.
The cure: a relay reads committed rows (in Insula `work.peek`, or rather no relay of one's own at all).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Boolean, Column, MetaData, String, Table, insert, select, update

from insula import Clock, Command, Module, System, UnitOfWork
from insula.simulation import Client, Simulation, Snapshot, eventually, sometimes

INVARIANT = "every mail says what is booked"

TABLES = MetaData()
bookings = Table(
    "bookings", TABLES, Column("guest", String), Column("kept_until", String), Column("told", Boolean)
)  # fmt: skip
_UNTOLD = select(bookings).where(~bookings.c.told).order_by(bookings.c.guest)


class BookTable(Command[None]):
    guest: str


class TellGuests(Command[None]):
    pass


class Mail:
    def __init__(self) -> None:
        self.sent: set[tuple[str, str]] = set()

    def send(self, guest: str, kept_until: str) -> None:
        self.sent.add((guest, kept_until))


async def book_table(command: BookTable, clock: Clock, work: UnitOfWork) -> None:
    kept_until = (clock.now() + timedelta(hours=2)).isoformat()
    await work.execute(insert(bookings).values(guest=command.guest, kept_until=kept_until, told=False))


async def tell_what_the_writer_sees(command: TellGuests, mail: Mail, work: UnitOfWork) -> None:
    await _tell((await work.execute(_UNTOLD)).all(), mail, work)


async def tell_what_is_committed(command: TellGuests, mail: Mail, work: UnitOfWork) -> None:
    await _tell(await work.peek(_UNTOLD), mail, work)


async def _tell(untold: Sequence[Any], mail: Mail, work: UnitOfWork) -> None:
    for row in untold:
        mail.send(row.guest, row.kept_until)
    guests = [row.guest for row in untold]
    await work.execute(update(bookings).where(bookings.c.guest.in_(guests)).values(told=True))


async def book_while_guests_are_told(client: Client) -> None:
    await client.together(
        client.call(BookTable(guest="ann")), client.call(TellGuests()),
        client.call(BookTable(guest="bob")), client.call(TellGuests()),
    )  # fmt: skip
    await client.call(TellGuests())


@eventually
def every_mail_says_what_is_booked(state: Snapshot) -> None:
    booked = {(row.guest, row.kept_until) for row in state.rows("restaurant", select(bookings))}
    assert state.stand_in(Mail).sent <= booked


@sometimes
def everybody_is_told(state: Snapshot) -> bool:
    return len({guest for guest, _ in state.stand_in(Mail).sent}) == 2


def build(broken: bool) -> Simulation:
    restaurant = Module("restaurant", tables=TABLES)
    restaurant.bind(Mail, Mail)
    restaurant.handle(BookTable)(book_table)
    restaurant.handle(TellGuests)(tell_what_the_writer_sees if broken else tell_what_is_committed)
    return Simulation(
        System("restaurant-bookings", restaurant),
        book_while_guests_are_told,
        [every_mail_says_what_is_booked, everybody_is_told],
        topology="together",
        ports={Mail: Mail},
    )
