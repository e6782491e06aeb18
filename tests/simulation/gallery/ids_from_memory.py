"""Numbers from a counter in memory.

The bug: order numbers are counted in memory. After a crash the counter begins at one again, and the new order
overwrites an old one.
In the wild: `itertools.count()`, `AtomicLong`, "max + 1 at startup" read too early; several replicas count alike.
The cure: the database counts, in the transaction that uses the number; or ids that nobody else makes.
"""

from __future__ import annotations

import itertools

from sqlalchemy import Column, Integer, MetaData, String, Table, func, select

from insula import Command, Module, System, UnitOfWork
from insula.kernel.context import state_of_process
from insula.simulation import Simulation, Snapshot, eventually

INVARIANT = "no order is overwritten"

TABLES = MetaData()
orders = Table("orders", TABLES, Column("number", Integer, primary_key=True), Column("customer", String))
_STORE = "insert or replace into orders values (:number, :customer)"


class PlaceOrder(Command[None]):
    customer: str


async def number_from_memory(command: PlaceOrder, work: UnitOfWork) -> None:
    # What would be a global of the module: it belongs to the process and dies with it.
    number = next(state_of_process("order numbers", lambda: itertools.count(1)))
    await work.execute(_STORE, {"number": number, "customer": command.customer})


async def number_from_database(command: PlaceOrder, work: UnitOfWork) -> None:
    highest = await work.scalar(select(func.max(orders.c.number))) or 0
    await work.execute(_STORE, {"number": highest + 1, "customer": command.customer})


@eventually
def no_order_is_overwritten(state: Snapshot) -> None:
    placed = state.scalar("shop", "select count(*) from insula_inbox")
    assert state.scalar("shop", select(func.count()).select_from(orders)) == placed


def build(broken: bool) -> Simulation:
    shop = Module("shop", tables=TABLES)
    shop.handle(PlaceOrder)(number_from_memory if broken else number_from_database)
    return Simulation(
        System("numbers", shop),
        [PlaceOrder(customer=name) for name in ("ann", "bob")],
        [no_order_is_overwritten],
        topology="together",
    )
