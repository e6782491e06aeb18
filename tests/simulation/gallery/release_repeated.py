"""A compensation that is carried out twice.

The bug: the release of stock adds what it is told to add, without looking whether it is still held. A declined card
and the time-out of the order both ask for the release; each is a message of its own, so no inbox helps.
In the wild: refunds and releases in sagas with more than one way to fail.
The cure: the reservation has a state, and only who changes it from held to released gives the stock back.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select, update

from insula import Command, Context, Event, Module, System, UnitOfWork
from insula.simulation import Client, ModuleSnapshot, Simulation, invariant

INVARIANT = "stock is conserved"
UNITS = 5

ORDER_TABLES, STOCK_TABLES = MetaData(), MetaData()
orders = Table("orders", ORDER_TABLES, Column("id", String, primary_key=True), Column("state", String))
stock = Table("stock", STOCK_TABLES, Column("available", Integer))
reservations = Table("reservations", STOCK_TABLES, Column("id", String, primary_key=True), Column("state", String))


class ReceiveStock(Command[None]):
    units: int


class PlaceOrder(Command[None]):
    order: str


class ReserveStock(Command[None], key="order"):
    order: str


class ReleaseStock(Command[None], key="order"):
    order: str


class GiveUp(Command[None]):
    order: str


class StockReserved(Event, key="order"):
    order: str


class CardDeclined(Exception):
    """The bank says no."""


class Bank:
    async def charge(self, order: str, key: str) -> None:
        """The money does not matter here."""


async def place_order(command: PlaceOrder, work: UnitOfWork) -> None:
    await work.execute(insert(orders).values(id=command.order, state="open"))
    work.send(ReserveStock(order=command.order))
    work.send(GiveUp(order=command.order), delay=timedelta(seconds=2))


async def take_payment(event: StockReserved, bank: Bank, context: Context, work: UnitOfWork) -> None:
    state = "paid"
    try:
        await bank.charge(event.order, context.idempotency_key("charge"))
    except CardDeclined:
        state = "declined"
        work.send(ReleaseStock(order=event.order))
    await work.execute(update(orders).where(orders.c.id == event.order).values(state=state))


async def give_up(command: GiveUp, work: UnitOfWork) -> None:
    if await work.scalar(select(orders.c.state).where(orders.c.id == command.order)) != "paid":
        work.send(ReleaseStock(order=command.order))


async def receive_stock(command: ReceiveStock, work: UnitOfWork) -> None:
    await work.execute(insert(stock).values(available=command.units))


async def reserve(command: ReserveStock, work: UnitOfWork) -> None:
    await work.execute(insert(reservations).values(id=command.order, state="held"))
    await work.execute(update(stock).values(available=stock.c.available - 1))
    work.publish(StockReserved(order=command.order))


async def release_blindly(command: ReleaseStock, work: UnitOfWork) -> None:
    await work.execute(update(reservations).where(reservations.c.id == command.order).values(state="released"))
    await work.execute(update(stock).values(available=stock.c.available + 1))


async def release_what_is_held(command: ReleaseStock, work: UnitOfWork) -> None:
    held = (reservations.c.id == command.order) & (reservations.c.state == "held")
    if (await work.execute(update(reservations).where(held).values(state="released"))).rowcount:
        await work.execute(update(stock).values(available=stock.c.available + 1))


@invariant(after_commit="inventory")
def stock_is_conserved(database: ModuleSnapshot) -> None:
    held = database.scalar(select(func.count()).where(reservations.c.state == "held"))
    available = database.scalar(select(stock.c.available))
    assert available is None or available + held == UNITS


async def open_the_shop(client: Client) -> None:
    await client.call(ReceiveStock(units=UNITS))


def build(broken: bool) -> Simulation:
    shop, inventory = Module("shop", tables=ORDER_TABLES), Module("inventory", tables=STOCK_TABLES)
    shop.bind(Bank, Bank)
    shop.handle(PlaceOrder)(place_order)
    shop.on(StockReserved)(take_payment)
    shop.handle(GiveUp)(give_up)
    inventory.handle(ReceiveStock)(receive_stock)
    inventory.handle(ReserveStock)(reserve)
    inventory.handle(ReleaseStock)(release_blindly if broken else release_what_is_held)
    return Simulation(
        System("compensation", shop, inventory),
        [PlaceOrder(order="1"), PlaceOrder(order="2")],
        [stock_is_conserved],
        setup=open_the_shop,
        topology="together",
        ports={Bank: Bank},
        refusals={Bank: (CardDeclined(),)},
    )
