"""GET /invoices/{order_id}: the invoice of an order."""

from datetime import datetime

from sqlalchemy import select

from insula import Clock, Money, UnitOfWork
from shop.billing.contract import GetInvoice, Invoice, InvoiceNotFound
from shop.billing.domain import is_overdue
from shop.billing.module import billing, invoices
from shop.billing.records import shown_number


@billing.get("/invoices/{order_id}")
@billing.handle(GetInvoice)
async def get_invoice(query: GetInvoice, clock: Clock, work: UnitOfWork) -> Invoice:
    """The invoice, and whether it is overdue today."""
    rows = await work.execute(select(invoices).where(invoices.c.order_id == query.order_id))
    row = rows.first()
    if row is None:
        raise InvoiceNotFound(order_id=query.order_id)
    issued_at = datetime.fromisoformat(row.issued_at)
    paid_at = None if row.paid_at is None else datetime.fromisoformat(row.paid_at)
    return Invoice(
        number=shown_number(row.number),
        order_id=row.order_id,
        customer_id=row.customer_id,
        total=Money.of_minor(row.total_minor, row.currency),
        issued_at=issued_at,
        paid_at=paid_at,
        overdue=is_overdue(issued_at=issued_at, paid_at=paid_at, now=clock.now()),
    )
