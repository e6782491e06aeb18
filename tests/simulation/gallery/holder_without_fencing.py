"""A holder without fencing: two replicas, of which one at a time moves messages, by a lease.

The bug: the lease says who may begin, but nothing that is stored says on the strength of which holding. A replica that
stood still for longer than its lease gives up the message that its handler was late with, while the other one, which
holds the lease by now, is handling it: the message is done, and a dead letter too.
In the wild: leader election by a lock service or an orchestrator's leases, with leaders that write wherever they like;
frozen virtual machines, long garbage collections (Kleppmann, How to do distributed locking, 2016).
The cure: each holding has a number, and the transaction that moves a cursor, parks or gives up a message looks whether
it is still the newest (in Insula `act_for`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, MetaData, String, Table, func, insert, select

from insula import Clock, Command, Event, Module, System, UnitOfWork
from insula.runtime.configuration import Configuration, Delivery
from insula.simulation import Simulation, Snapshot, eventually
from insula.store.database import ParkedState
from simulation.gallery.planting import wired_of_this_process

INVARIANT = "nothing is both done and given up"
BANK_SECONDS, PATIENCE_SECONDS = 20.0, 22.0

PAID_TABLES = MetaData()
paid = Table("paid", PAID_TABLES, Column("order_id", String))


class PlaceOrder(Command[None]):
    order_id: str


class OrderPlaced(Event, key="order_id"):
    order_id: str


async def place_order(command: PlaceOrder, work: UnitOfWork) -> None:
    work.publish(OrderPlaced(order_id=command.order_id))


async def charge(event: OrderPlaced, clock: Clock, work: UnitOfWork) -> None:
    await clock.sleep(BANK_SECONDS)  # a bank that takes its time
    await work.execute(insert(paid).values(order_id=event.order_id))


class NoFencing:
    """A port that nobody asks for: as its process starts, it lets no database know which lease it acts for."""

    async def __aenter__(self) -> None:
        for database in wired_of_this_process().databases.values():
            vars(database)["act_for"] = _forget


def _forget(lease: Any) -> None:
    """Nothing is passed along."""


@eventually
def nothing_is_both_done_and_given_up(state: Snapshot) -> None:
    given_up = [each for each in state.inspection.parked(_billing(state)) if each.state is ParkedState.DEAD]
    for each in given_up:
        done = select(func.count()).select_from(paid).where(paid.c.order_id == each.key)
        assert not state.scalar("billing", done), f"order {each.key} is paid, and a dead letter"


def _billing(state: Snapshot) -> Module:
    return next(module for module in state.modules if module.name == "billing")


def build(broken: bool) -> Simulation:
    orders, billing = Module("orders"), Module("billing", tables=PAID_TABLES)
    orders.handle(PlaceOrder)(place_order)
    billing.on(OrderPlaced, attempts=1)(charge)
    if broken:
        billing.bind(NoFencing, NoFencing)
    return Simulation(
        System("payments", orders, billing),
        [PlaceOrder(order_id="first"), PlaceOrder(order_id="second")],
        [nothing_is_both_done_and_given_up],
        ports={NoFencing: NoFencing} if broken else {},
        configuration=Configuration(delivery=Delivery(handler_timeout_seconds=PATIENCE_SECONDS)),
        dead_letters_allowed=True,
        replicas={"billing": 2},
    )
