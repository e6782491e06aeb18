"""Take what was set aside for a confirmed order out of the warehouse."""

from insula import UnitOfWork
from shop.inventory.domain import NothingReserved, ReservationStatus
from shop.inventory.module import inventory
from shop.inventory.records import SHIP, change_status, move, status_of, units_of
from shop.orders.contract import OrderConfirmed


@inventory.on(OrderConfirmed)
async def ship_stock(event: OrderConfirmed, work: UnitOfWork) -> None:
    """Turn the reservation into shipped stock."""
    if await status_of(event.order_id, work) is not ReservationStatus.RESERVED:
        raise NothingReserved(order_id=event.order_id)
    await change_status(event.order_id, ReservationStatus.SHIPPED, work)
    await move(await units_of(event.order_id, work), SHIP, work)
