"""POST /orders/{order_id}/cancel: call an order off before it is confirmed."""

from insula import UnitOfWork
from shop.orders.contract import CancellationReason, CancelOrder, OrderCancelled
from shop.orders.domain import Order
from shop.orders.module import orders
from shop.orders.records import load_order, save_outcome


@orders.post("/orders/{order_id}/cancel")
@orders.handle(CancelOrder)
async def cancel_order(command: CancelOrder, work: UnitOfWork) -> None:
    """Cancel at the customer's wish; what was reserved or charged meanwhile is given back."""
    order = await load_order(command.order_id, work)
    await cancel(order, CancellationReason.BY_CUSTOMER, "", work)


async def cancel(order: Order, reason: CancellationReason, detail: str, work: UnitOfWork) -> None:
    """Cancel a pending order and tell whoever listens; an order cancelled before is left as it is."""
    cancelled = order.cancel(reason, detail)
    if cancelled is order:
        return
    await save_outcome(cancelled, work)
    work.publish(OrderCancelled(order_id=order.order_id, customer_id=order.customer_id, reason=reason, detail=detail))
