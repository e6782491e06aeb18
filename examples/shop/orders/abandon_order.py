"""Cancel an order that cannot be fulfilled: stock refused, or payment declined."""

from insula import UnitOfWork
from shop.billing.contract import PaymentDeclined
from shop.inventory.contract import StockRefused
from shop.orders.cancel_order import cancel
from shop.orders.contract import CancellationReason
from shop.orders.module import orders
from shop.orders.records import load_order


@orders.on(StockRefused)
async def abandon_without_stock(event: StockRefused, work: UnitOfWork) -> None:
    """Cancel for want of stock, naming the product."""
    order = await load_order(event.order_id, work)
    await cancel(order, CancellationReason.OUT_OF_STOCK, event.reason, work)


@orders.on(PaymentDeclined)
async def abandon_without_payment(event: PaymentDeclined, work: UnitOfWork) -> None:
    """Cancel for want of money, naming the reason."""
    order = await load_order(event.order_id, work)
    await cancel(order, CancellationReason.PAYMENT_DECLINED, event.reason, work)
