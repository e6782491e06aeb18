"""Payments as rows of the module's table."""

from sqlalchemy import bindparam, insert, select, update

from insula import Money, UnitOfWork
from shop.billing.domain import Payment, PaymentStatus
from shop.billing.module import payments
from shop.kernel import OrderId

FIND = select(payments).where(payments.c.order_id == bindparam("order_id"))
UPDATE = update(payments).where(payments.c.order_id == bindparam("of_order"))


async def peek_payment(order_id: OrderId, work: UnitOfWork) -> Payment | None:
    """The payment as it is now, before the writer's turn; None if we know nothing of the order."""
    for row in await work.peek(FIND, {"order_id": order_id}):
        return Payment(
            order_id=row.order_id,
            customer_id=row.customer_id,
            amount=None if row.currency is None else Money.of_minor(row.amount_minor, row.currency),
            stock_reserved=row.stock_reserved,
            order_cancelled=row.order_cancelled,
            status=PaymentStatus(row.status),
            charge_key=row.charge_key,
        )
    return None


async def save_payment(payment: Payment, *, known: bool, work: UnitOfWork) -> None:
    """Store the payment: a new row, or over the one that is known."""
    values = {
        "order_id": payment.order_id,
        "customer_id": payment.customer_id,
        "amount_minor": payment.amount and payment.amount.minor,
        "currency": payment.amount and payment.amount.currency,
        "stock_reserved": payment.stock_reserved,
        "order_cancelled": payment.order_cancelled,
        "status": payment.status.value,
        "charge_key": payment.charge_key,
    }
    if known:
        await work.execute(UPDATE, {"of_order": payment.order_id, **values})
    else:
        await work.execute(insert(payments), values)


def shown_number(number: int) -> str:
    """An invoice's number as people quote it: INV-0001."""
    return f"INV-{number:04d}"
