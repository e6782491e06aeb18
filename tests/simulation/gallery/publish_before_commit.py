"""Telling before it is true: a message leaves before the commit that it speaks of.

The bug: the seat is mailed first and stored afterwards. When the process dies in between, or the handler has to run
again, the seat goes to somebody else, and two customers come with the same one.
In the wild: `producer.send(...)` or `mail(...)` inside a transaction, before COMMIT.
The cure: what is told leaves with the commit (an outbox; in Insula `work.publish`).
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from insula import Command, Event, Module, System, UnitOfWork
from insula.simulation import Simulation, Snapshot, eventually

INVARIANT = "every mailed seat is the customers own"

TABLES = MetaData()
tickets = Table(
    "tickets", TABLES, Column("seat", Integer, primary_key=True, autoincrement=False), Column("customer", String)
)
_SEATS_SOLD = select(func.count()).select_from(tickets)


class BuyTicket(Command[None]):
    customer: str


class TicketSold(Event, key="customer"):
    customer: str
    seat: int


class Mail:
    def __init__(self) -> None:
        self.told: set[tuple[str, int]] = set()

    async def tell(self, customer: str, seat: int) -> None:
        self.told.add((customer, seat))


async def tell_and_sell(command: BuyTicket, mail: Mail, work: UnitOfWork) -> None:
    seat = (await work.peek(_SEATS_SOLD))[0][0] + 1
    await mail.tell(command.customer, seat)
    await work.execute(insert(tickets).values(seat=seat, customer=command.customer))


async def sell(command: BuyTicket, work: UnitOfWork) -> None:
    seat = await work.scalar(_SEATS_SOLD) + 1
    await work.execute(insert(tickets).values(seat=seat, customer=command.customer))
    work.publish(TicketSold(customer=command.customer, seat=seat))


async def tell(event: TicketSold, mail: Mail) -> None:
    await mail.tell(event.customer, event.seat)


@eventually
def every_mailed_seat_is_the_customers_own(state: Snapshot) -> None:
    sold = {(row.customer, row.seat) for row in state.rows("theatre", select(tickets))}
    assert state.stand_in(Mail).told == sold


def build(broken: bool) -> Simulation:
    theatre, post = Module("theatre", tables=TABLES), Module("post")
    theatre.handle(BuyTicket)(tell_and_sell if broken else sell)
    post.on(TicketSold)(tell)
    for module in (theatre, post):
        module.bind(Mail, Mail)
    return Simulation(
        System("theatre-tickets", theatre, post),
        [BuyTicket(customer=name) for name in ("ann", "bob")],
        [every_mailed_seat_is_the_customers_own],
        topology="together",
        ports={Mail: Mail},
    )
