"""No inbox: a message that comes twice is handled twice.

The bug: nothing remembers which messages were taken. Here the framework's own inbox is taken away, and the handler
relies on it.
In the wild: any consumer behind a broker that promises "at least once", which is all of them.
The cure: a mark for each message, in the transaction of its effect (an inbox; in Insula every handler has one).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from insula import Command, Event, Module, System, UnitOfWork
from insula.messaging.dispatcher import Dispatcher
from insula.simulation import Simulation, Snapshot, eventually
from simulation.gallery.planting import wired_of_this_process

INVARIANT = "points match orders"

ORDER_TABLES, POINT_TABLES = MetaData(), MetaData()
placed = Table("placed", ORDER_TABLES, Column("customer", String), Column("euros", Integer))
points = Table("points", POINT_TABLES, Column("customer", String), Column("earned", Integer))


class PlaceOrder(Command[None]):
    customer: str
    euros: int


class OrderPlaced(Event, key="customer"):
    customer: str
    euros: int


async def place_order(command: PlaceOrder, work: UnitOfWork) -> None:
    await work.execute(insert(placed).values(customer=command.customer, euros=command.euros))
    work.publish(OrderPlaced(customer=command.customer, euros=command.euros))


async def earn(event: OrderPlaced, work: UnitOfWork) -> None:
    await work.execute(insert(points).values(customer=event.customer, earned=event.euros))


class DispatcherWithoutInbox(Dispatcher):
    def run(self, handler: Any, message: Any, context: Any, mark: Any, scope: Any = None) -> Any:
        return super().run(handler, message, context, None, scope)


class ForgetfulInbox:
    """A port that nobody asks for: as its process starts, it takes every receiver's inbox away."""

    async def __aenter__(self) -> None:
        for receiver in wired_of_this_process().receivers.values():
            remembering = receiver._dispatcher
            receiver._dispatcher = DispatcherWithoutInbox(
                remembering.module, remembering.database, remembering._clock
            )  # fmt: skip


@eventually
def points_match_orders(state: Snapshot) -> None:
    spent = state.scalar("orders", select(func.sum(placed.c.euros)))
    assert state.scalar("loyalty", select(func.sum(points.c.earned))) == spent


def build(broken: bool) -> Simulation:
    orders, loyalty = Module("orders", tables=ORDER_TABLES), Module("loyalty", tables=POINT_TABLES)
    orders.handle(PlaceOrder)(place_order)
    loyalty.on(OrderPlaced)(earn)
    if broken:
        loyalty.bind(ForgetfulInbox, ForgetfulInbox)
    return Simulation(
        System("points", orders, loyalty),
        [PlaceOrder(customer="ann", euros=40), PlaceOrder(customer="bob", euros=3)],
        [points_match_orders],
        topology="together",
        ports={ForgetfulInbox: ForgetfulInbox} if broken else {},
    )
