"""Give back what was set aside for an order that is cancelled."""

from insula import UnitOfWork
from shop.inventory.contract import StockReleased
from shop.inventory.domain import ReservationStatus
from shop.inventory.module import inventory
from shop.inventory.records import RELEASE, add_status, change_status, move, status_of, units_of
from shop.orders.contract import OrderCancelled


@inventory.on(OrderCancelled)
async def release_stock(event: OrderCancelled, work: UnitOfWork) -> None:
    """Release a reservation; remember the cancellation if it comes before the order itself."""
    status = await status_of(event.order_id, work)
    if status is None:
        await add_status(event.order_id, ReservationStatus.NOT_WANTED, work)
    elif status is ReservationStatus.RESERVED:
        await change_status(event.order_id, ReservationStatus.RELEASED, work)
        await move(await units_of(event.order_id, work), RELEASE, work)
        work.publish(StockReleased(order_id=event.order_id))
