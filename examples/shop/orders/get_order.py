"""GET /orders/{order_id}: one order and what became of it."""

from insula import UnitOfWork
from shop.orders.contract import GetOrder, OrderDetails
from shop.orders.module import orders
from shop.orders.records import find_order, shown_number


@orders.get("/orders/{order_id}")
@orders.handle(GetOrder)
async def get_order(query: GetOrder, work: UnitOfWork) -> OrderDetails:
    """The order with that id."""
    number, order = await find_order(query.order_id, work)
    return OrderDetails(
        order_id=order.order_id,
        number=shown_number(number),
        customer_id=order.customer_id,
        status=order.status,
        lines=order.lines,
        total=order.total,
        ship_to=order.ship_to,
        placed_at=order.placed_at,
        reason=order.reason,
        detail=order.detail,
    )
