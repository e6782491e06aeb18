"""Reservations and stock as rows of the module's tables."""

from collections.abc import Mapping

from sqlalchemy import bindparam, insert, select, update

from insula import UnitOfWork
from shop.inventory.domain import ReservationStatus
from shop.inventory.module import reservations, reserved_units, stock
from shop.kernel import OrderId, ProductId


async def status_of(order_id: OrderId, work: UnitOfWork) -> ReservationStatus | None:
    """What became of the order's stock so far; None if we never saw the order."""
    known = select(reservations.c.status).where(reservations.c.order_id == order_id).with_for_update()
    status = await work.scalar(known)
    return None if status is None else ReservationStatus(status)


async def add_status(order_id: OrderId, status: ReservationStatus, work: UnitOfWork) -> None:
    """Remember the order for the first time."""
    await work.execute(insert(reservations), {"order_id": order_id, "status": status.value})


async def change_status(order_id: OrderId, status: ReservationStatus, work: UnitOfWork) -> None:
    """Remember what became of the order's stock."""
    await work.execute(update(reservations).where(reservations.c.order_id == order_id).values(status=status.value))


async def units_of(order_id: OrderId, work: UnitOfWork) -> dict[ProductId, int]:
    """The units set aside for the order."""
    rows = await work.execute(select(reserved_units).where(reserved_units.c.order_id == order_id))
    return {row.product_id: row.quantity for row in rows}


async def move(units: Mapping[ProductId, int], source: str, target: str, work: UnitOfWork) -> None:
    """Move units of each product from one column of the stock to another: "available", "reserved", "shipped"."""
    moving = (
        update(stock)
        .where(stock.c.product_id == bindparam("product"))
        .values({source: stock.c[source] - bindparam("units"), target: stock.c[target] + bindparam("units")})
    )
    # In the order of ids, so that two orders never wait for each other's rows.
    await work.execute(moving, [{"product": product, "units": units[product]} for product in sorted(units)])
