"""A failure that is caught and forgotten.

The bug: the handler catches whatever the carrier throws, and the message counts as handled. The parcel is never sent,
and nobody hears of it.
In the wild: `except Exception: log.exception(...)` in a consumer, so that "it does not crash".
The cure: let the error out: the message is tried again, and set aside for a person when that does not help.
"""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, insert, select

from insula import Command, Event, Module, System, UnitOfWork
from insula.simulation import Simulation, Snapshot, eventually

INVARIANT = "every order is sent"

TABLES = MetaData()
parcels = Table("parcels", TABLES, Column("order", String))


class PlaceOrder(Command[None]):
    order: str


class OrderPlaced(Event, key="order"):
    order: str


class Carrier:
    async def collect(self, order: str) -> None:
        """The way of the parcel does not matter here."""


async def place_order(command: PlaceOrder, work: UnitOfWork) -> None:
    work.publish(OrderPlaced(order=command.order))


async def send_if_it_works(event: OrderPlaced, carrier: Carrier, work: UnitOfWork) -> None:
    try:
        await carrier.collect(event.order)
    except Exception:
        return
    await work.execute(insert(parcels).values(order=event.order))


async def send(event: OrderPlaced, carrier: Carrier, work: UnitOfWork) -> None:
    await carrier.collect(event.order)
    await work.execute(insert(parcels).values(order=event.order))


@eventually
def every_order_is_sent(state: Snapshot) -> None:
    sent = sorted(row.order for row in state.rows("shipping", select(parcels)))
    assert sent == sorted(each.order for each in state.events(OrderPlaced))


def build(broken: bool) -> Simulation:
    orders, shipping = Module("orders"), Module("shipping", tables=TABLES)
    orders.handle(PlaceOrder)(place_order)
    shipping.on(OrderPlaced)(send_if_it_works if broken else send)
    shipping.bind(Carrier, Carrier)
    return Simulation(
        System("shipping-orders", orders, shipping),
        [PlaceOrder(order="1"), PlaceOrder(order="2")],
        [every_order_is_sent],
        topology="together",
        ports={Carrier: Carrier},
    )
