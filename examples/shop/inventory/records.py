"""Reservations and stock as rows of the module's tables."""

from collections.abc import Mapping

from sqlalchemy import Column, Update, bindparam, insert, select, update

from insula import UnitOfWork
from shop.inventory.domain import ReservationStatus
from shop.inventory.module import reservations, reserved_units, stock
from shop.kernel import OrderId, ProductId


def _moving(source: Column[int], target: Column[int]) -> Update:
    moved = {source: source - bindparam("units"), target: target + bindparam("units")}
    return update(stock).where(stock.c.product_id == bindparam("product")).values(moved)


STATUS = select(reservations.c.status).where(reservations.c.order_id == bindparam("order_id")).with_for_update()
CHANGE = update(reservations).where(reservations.c.order_id == bindparam("of_order"))
RESERVE = _moving(stock.c.available, stock.c.reserved)
RELEASE = _moving(stock.c.reserved, stock.c.available)
SHIP = _moving(stock.c.reserved, stock.c.shipped)
UNITS = select(reserved_units).where(reserved_units.c.order_id == bindparam("order_id"))


async def status_of(order_id: OrderId, work: UnitOfWork) -> ReservationStatus | None:
    """What became of the order's stock so far; None if we never saw the order."""
    status = await work.scalar(STATUS, {"order_id": order_id})
    return None if status is None else ReservationStatus(status)


async def add_status(order_id: OrderId, status: ReservationStatus, work: UnitOfWork) -> None:
    """Remember the order for the first time."""
    await work.execute(insert(reservations), {"order_id": order_id, "status": status.value})


async def change_status(order_id: OrderId, status: ReservationStatus, work: UnitOfWork) -> None:
    """Remember what became of the order's stock."""
    await work.execute(CHANGE, {"of_order": order_id, "status": status.value})


async def units_of(order_id: OrderId, work: UnitOfWork) -> dict[ProductId, int]:
    """The units set aside for the order."""
    rows = await work.execute(UNITS, {"order_id": order_id})
    return {row.product_id: row.quantity for row in rows}


async def move(units: Mapping[ProductId, int], how: Update, work: UnitOfWork) -> None:
    """Move units of each product: RESERVE, RELEASE or SHIP them."""
    # In the order of ids, so that two orders never wait for each other's rows.
    await work.execute(how, [{"product": product, "units": units[product]} for product in sorted(units)])
