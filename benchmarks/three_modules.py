"""A small system for the simulator's benchmark: an order, its stock, its payment, each module answering by events."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select, update

from insula import Command, Event, Module, System, UnitOfWork
from insula.simulation import Simulation, Snapshot, eventually

orders, stock, payments = (Module(name, tables=MetaData()) for name in ("orders", "stock", "payments"))
placed = Table("placed", orders.tables, Column("id", String, primary_key=True), Column("status", String))
reserved = Table("reserved", stock.tables, Column("order_id", String, primary_key=True), Column("units", Integer))
charged = Table("charged", payments.tables, Column("order_id", String, primary_key=True), Column("units", Integer))


class PlaceOrder(Command[None]):
    order_id: str
    units: int


class OrderPlaced(Event, key="order_id"):
    order_id: str
    units: int


class StockReserved(Event, key="order_id"):
    order_id: str
    units: int


class Paid(Event, key="order_id"):
    order_id: str


@orders.handle(PlaceOrder)
async def place(command: PlaceOrder, work: UnitOfWork) -> None:
    await work.execute(insert(placed), {"id": command.order_id, "status": "placed"})
    work.publish(OrderPlaced(order_id=command.order_id, units=command.units))


@stock.on(OrderPlaced)
async def reserve(event: OrderPlaced, work: UnitOfWork) -> None:
    await work.execute(insert(reserved), {"order_id": event.order_id, "units": event.units})
    work.publish(StockReserved(order_id=event.order_id, units=event.units))


@payments.on(StockReserved)
async def charge(event: StockReserved, work: UnitOfWork) -> None:
    await work.execute(insert(charged), {"order_id": event.order_id, "units": event.units})
    work.publish(Paid(order_id=event.order_id))


@orders.on(Paid)
async def confirm(event: Paid, work: UnitOfWork) -> None:
    await work.execute(update(placed).where(placed.c.id == event.order_id), {"status": "confirmed"})


@eventually
def everything_is_paid(state: Snapshot) -> None:
    assert state.scalar(payments, select(func.count()).select_from(charged)) == 3
    assert state.scalar(orders, "select count(*) from placed where status = 'confirmed'") == 3


three_modules = Simulation(
    System("three", orders, stock, payments),
    workload=[PlaceOrder(order_id=name, units=2) for name in ("one", "two", "three")],
    invariants=[everything_is_paid],
)
