"""What other modules and clients may know of payments and invoices."""

from dataclasses import dataclass
from datetime import datetime

from insula import Event, Money, Query, Rejection
from shop.kernel import CustomerId, OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """What a customer owes, or has paid, for one order. `number` is for people, such as INV-0001."""

    number: str
    order_id: OrderId
    customer_id: CustomerId
    total: Money
    issued_at: datetime
    paid_at: datetime | None
    overdue: bool


class InvoiceNotFound(Rejection, status=404):
    """There is no such order, or it is not confirmed (yet)."""

    order_id: OrderId


class GetInvoice(Query[Invoice], rejects=(InvoiceNotFound,)):
    order_id: OrderId


class PaymentCharged(Event, key="order_id"):
    order_id: OrderId
    amount: Money


class PaymentDeclined(Event, key="order_id"):
    order_id: OrderId
    reason: str


class PaymentRefunded(Event, key="order_id"):
    """The order was cancelled after the charge; the customer has the money back."""

    order_id: OrderId
    customer_id: CustomerId
    amount: Money


class InvoiceIssued(Event, key="order_id"):
    order_id: OrderId
    customer_id: CustomerId
    number: str
    total: Money
