"""Set stock aside for an order that was placed: all of its lines, or none."""

from sqlalchemy import bindparam, insert, select

from insula import UnitOfWork
from shop.inventory.contract import StockRefused, StockReserved
from shop.inventory.domain import ReservationStatus, first_shortage, units_wanted
from shop.inventory.module import inventory, reserved_units, stock
from shop.inventory.records import RESERVE, add_status, move, status_of
from shop.orders.contract import OrderPlaced

LEVELS = (
    select(stock.c.product_id, stock.c.available)
    .where(stock.c.product_id.in_(bindparam("products", expanding=True)))
    .order_by(stock.c.product_id)
    .with_for_update()
)


@inventory.on(OrderPlaced)
async def reserve_stock(event: OrderPlaced, work: UnitOfWork) -> None:
    """Reserve every line, or refuse and name the product there is too little of."""
    if await status_of(event.order_id, work) is not None:
        return  # its cancellation overtook it
    wanted = units_wanted(event.lines)
    rows = await work.execute(LEVELS, {"products": list(wanted)})
    shortage = first_shortage(wanted, {row.product_id: row.available for row in rows})
    if shortage is not None:
        await add_status(event.order_id, ReservationStatus.REFUSED, work)
        work.publish(
            StockRefused(
                order_id=event.order_id,
                product_id=shortage.product_id,
                wanted=shortage.wanted,
                available=shortage.available,
                reason=str(shortage),
            )
        )
        return
    await add_status(event.order_id, ReservationStatus.RESERVED, work)
    await work.execute(
        insert(reserved_units),
        [{"order_id": event.order_id, "product_id": product, "quantity": wanted[product]} for product in wanted],
    )
    await move(wanted, RESERVE, work)
    work.publish(StockReserved(order_id=event.order_id))
