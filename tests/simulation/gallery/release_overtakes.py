"""A release that overtakes the reservation it belongs to.

The bug: a release that finds nothing to release does nothing. The reservation was only late; when it arrives, the
stock is held for an order that was cancelled long ago, and nobody will ever release it.
In the wild: messages from two senders, in two queues or partitions; retries of the first of two messages.
The cure: the release leaves a tombstone, which the late reservation finds.
"""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, select

from insula import Command, Module, System, UnitOfWork
from insula.messages import encode
from insula.simulation import Client, Simulation, Snapshot, eventually

INVARIANT = "nothing is held for a cancelled order"

STOCK_TABLES = MetaData()
reservations = Table("reservations", STOCK_TABLES, Column("id", String, primary_key=True), Column("state", String))


class PlaceOrder(Command[None]):
    order: str


class CancelOrder(Command[None]):
    order: str


class ReserveStock(Command[None]):
    order: str


class ReleaseStock(Command[None]):
    order: str


async def place_order(command: PlaceOrder, work: UnitOfWork) -> None:
    work.send(ReserveStock(order=command.order))


async def cancel_order(command: CancelOrder, work: UnitOfWork) -> None:
    work.send(ReleaseStock(order=command.order))


async def reserve(command: ReserveStock, work: UnitOfWork) -> None:
    await work.execute("insert or ignore into reservations values (:order, 'held')", {"order": command.order})


async def release_what_is_there(command: ReleaseStock, work: UnitOfWork) -> None:
    await work.execute("update reservations set state = 'released' where id = :order", {"order": command.order})


async def release_and_remember(command: ReleaseStock, work: UnitOfWork) -> None:
    await work.execute("insert or replace into reservations values (:order, 'released')", {"order": command.order})


async def order_and_cancel(client: Client, order: str) -> None:
    await client.call(PlaceOrder(order=order))
    await client.call(CancelOrder(order=order))


async def change_their_minds(client: Client) -> None:
    await client.together(*(order_and_cancel(client, order) for order in ("1", "2")))


@eventually
def nothing_is_held_for_a_cancelled_order(state: Snapshot) -> None:
    cancelled = {each.data for each in state.log("service") if each.type.endswith("ReleaseStock")}
    held = state.rows("inventory", select(reservations.c.id).where(reservations.c.state == "held"))
    assert not cancelled & {encode(ReleaseStock(order=row.id)) for row in held}


def build(broken: bool) -> Simulation:
    shop, service, inventory = Module("shop"), Module("service"), Module("inventory", tables=STOCK_TABLES)
    shop.handle(PlaceOrder)(place_order)
    service.handle(CancelOrder)(cancel_order)
    inventory.handle(ReserveStock)(reserve)
    inventory.handle(ReleaseStock)(release_what_is_there if broken else release_and_remember)
    return Simulation(
        System("reservations", shop, service, inventory),
        change_their_minds,
        [nothing_is_held_for_a_cancelled_order],
        topology="together",
    )
