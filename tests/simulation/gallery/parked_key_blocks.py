"""One message that fails stops all others.

The bug: every order has the same ordering key, that of the shop. One parcel that cannot be sent is set aside, with all
that come after it, whoever they are for.
In the wild: one partition for everything, a consumer that does not move past a message it cannot take.
The cure: the key is what needs the order, and nothing more: here the customer.
"""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, insert, select

from insula import Command, Event, Module, Rejection, System, UnitOfWork
from insula.simulation import Simulation, Snapshot, eventually

INVARIANT = "nobody waits for the parcel of somebody else"

TABLES = MetaData()
parcels = Table("parcels", TABLES, Column("customer", String))


class PlaceOrder(Command[None]):
    customer: str


class OrderPlaced(Event, key="ordering_key"):
    ordering_key: str
    customer: str


class AddressUnknown(Rejection):
    pass


class Carrier:
    async def collect(self, customer: str) -> None:
        """The way of the parcel does not matter here."""


async def key_by_shop(command: PlaceOrder, work: UnitOfWork) -> None:
    work.publish(OrderPlaced(ordering_key="shop", customer=command.customer))


async def key_by_customer(command: PlaceOrder, work: UnitOfWork) -> None:
    work.publish(OrderPlaced(ordering_key=command.customer, customer=command.customer))


async def send_parcel(event: OrderPlaced, carrier: Carrier, work: UnitOfWork) -> None:
    await carrier.collect(event.customer)
    await work.execute(insert(parcels).values(customer=event.customer))


@eventually
def nobody_waits_for_the_parcel_of_somebody_else(state: Snapshot) -> None:
    placed = {each.customer for each in state.events(OrderPlaced)}
    sent = {row.customer for row in state.rows("shipping", select(parcels))}
    refused = state.scalar("shipping", "select count(*) from insula_parked where error like '%AddressUnknown%'")
    assert len(sent) + refused == len(placed)


def build(broken: bool) -> Simulation:
    orders, shipping = Module("orders"), Module("shipping", tables=TABLES)
    orders.handle(PlaceOrder)(key_by_shop if broken else key_by_customer)
    shipping.on(OrderPlaced)(send_parcel)
    shipping.bind(Carrier, Carrier)
    return Simulation(
        System("parcels", orders, shipping),
        [PlaceOrder(customer=name) for name in ("ann", "bob")],
        [nobody_waits_for_the_parcel_of_somebody_else],
        topology="together",
        ports={Carrier: Carrier},
        refusals={Carrier: (AddressUnknown(),)},
        dead_letters_allowed=True,
    )
