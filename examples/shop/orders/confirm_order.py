"""Confirm an order whose payment is there."""

from insula import UnitOfWork
from shop.billing.contract import PaymentCharged
from shop.orders.contract import OrderConfirmed
from shop.orders.module import orders
from shop.orders.records import load_order, save_outcome


@orders.on(PaymentCharged)
async def confirm_order(event: PaymentCharged, work: UnitOfWork) -> None:
    """Confirm, unless the order was cancelled meanwhile: then billing gives the money back."""
    order = await load_order(event.order_id, work)
    confirmed = order.confirm()
    if confirmed is order:
        return
    await save_outcome(confirmed, work)
    work.publish(
        OrderConfirmed(
            order_id=order.order_id,
            customer_id=order.customer_id,
            lines=order.lines,
            total=order.total,
            ship_to=order.ship_to,
        )
    )
