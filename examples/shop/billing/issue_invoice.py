"""Issue the invoice of a confirmed order, over its exact total."""

from sqlalchemy import insert

from insula import Clock, UnitOfWork
from shop.billing.contract import InvoiceIssued
from shop.billing.module import billing, invoices
from shop.billing.records import shown_number
from shop.orders.contract import OrderConfirmed


@billing.on(OrderConfirmed)
async def issue_invoice(event: OrderConfirmed, clock: Clock, work: UnitOfWork) -> None:
    """One invoice an order; orders are paid before they are confirmed."""
    now = clock.now().isoformat()
    invoice = {
        "order_id": event.order_id,
        "customer_id": event.customer_id,
        "total_minor": event.total.minor,
        "currency": event.total.currency,
        "issued_at": now,
        "paid_at": now,
    }
    number = await work.scalar(insert(invoices).returning(invoices.c.number), invoice)
    work.publish(
        InvoiceIssued(
            order_id=event.order_id,
            customer_id=event.customer_id,
            number=shown_number(number),
            total=event.total,
        )
    )
