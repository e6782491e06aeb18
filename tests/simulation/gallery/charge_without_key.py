"""A charge without an idempotency key.

The bug: the bank is called without a key. It has taken the money, its answer is lost, the handler runs again, and the
bank takes the money again.
In the wild: any POST to a payment service that is retried.
The cure: a key that is the same at every attempt (`context.idempotency_key`), which the bank remembers.
"""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, insert

from insula import Command, Context, Event, Module, System, UnitOfWork
from insula.simulation import Simulation, Snapshot, eventually

INVARIANT = "every order is charged once"

TABLES = MetaData()
paid = Table("paid", TABLES, Column("order", String))


class PlaceOrder(Command[None]):
    order: str


class OrderPlaced(Event, key="order"):
    order: str


class Bank:
    """Takes money once for each key, and every time without one."""

    def __init__(self) -> None:
        self.charges: list[str] = []
        self._keys: set[str] = set()

    async def charge(self, order: str, key: str | None = None) -> None:
        if key is None or key not in self._keys:
            self.charges.append(order)
        if key is not None:
            self._keys.add(key)


async def place_order(command: PlaceOrder, work: UnitOfWork) -> None:
    work.publish(OrderPlaced(order=command.order))


async def charge(event: OrderPlaced, bank: Bank, work: UnitOfWork) -> None:
    await bank.charge(event.order)
    await work.execute(insert(paid).values(order=event.order))


async def charge_with_key(event: OrderPlaced, bank: Bank, context: Context, work: UnitOfWork) -> None:
    await bank.charge(event.order, context.idempotency_key("charge"))
    await work.execute(insert(paid).values(order=event.order))


@eventually
def every_order_is_charged_once(state: Snapshot) -> None:
    assert sorted(state.stand_in(Bank).charges) == sorted(each.order for each in state.events(OrderPlaced))


def build(broken: bool) -> Simulation:
    orders, billing = Module("orders"), Module("billing", tables=TABLES)
    orders.handle(PlaceOrder)(place_order)
    billing.on(OrderPlaced)(charge if broken else charge_with_key)
    billing.bind(Bank, Bank)
    return Simulation(
        System("charges", orders, billing),
        [PlaceOrder(order="1"), PlaceOrder(order="2")],
        [every_order_is_charged_once],
        topology="together",
        ports={Bank: Bank},
    )
