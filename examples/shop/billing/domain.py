"""When to charge, when to give back, and when an invoice is overdue. Pure.

A payment learns its three facts from different modules, so they come in any order: what the order costs (orders),
that its stock is reserved (inventory), that it is cancelled (orders). What to do next depends on the facts alone.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from insula import Money
from shop.kernel import CustomerId, OrderId

PAYMENT_TERM = timedelta(days=30)


class PaymentStatus(StrEnum):
    """What became of the money."""

    OPEN = "open"
    CHARGED = "charged"
    DECLINED = "declined"
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True)
class Charge:
    """Take the money."""

    customer_id: CustomerId
    amount: Money


@dataclass(frozen=True, slots=True)
class Refund:
    """Give back what was taken under `charge_key`."""

    customer_id: CustomerId
    amount: Money
    charge_key: str


@dataclass(frozen=True, slots=True)
class Void:
    """See that nothing is taken: an attempt at this very message may have charged and not lived to say so."""


Step = Charge | Refund | Void | None
"""What the gateway has to be told now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """The money side of one order. Each verb adds one fact, or tells what the gateway answered."""

    order_id: OrderId
    customer_id: CustomerId | None = None
    amount: Money | None = None
    stock_reserved: bool = False
    order_cancelled: bool = False
    status: PaymentStatus = PaymentStatus.OPEN
    charge_key: str | None = None

    def placed(self, customer_id: CustomerId, amount: Money) -> "Payment":
        return replace(self, customer_id=customer_id, amount=amount)

    def reserved(self) -> "Payment":
        return replace(self, stock_reserved=True)

    def cancelled(self) -> "Payment":
        return replace(self, order_cancelled=True)

    def charged(self, key: str) -> "Payment":
        return replace(self, status=PaymentStatus.CHARGED, charge_key=key)

    def declined(self) -> "Payment":
        return replace(self, status=PaymentStatus.DECLINED)

    def reversed(self) -> "Payment":
        return replace(self, status=PaymentStatus.REVERSED)

    def next_step(self) -> Step:
        """Charge once price and stock are known, unless the order is cancelled; give back what was charged."""
        if self.customer_id is None or self.amount is None or not self.stock_reserved:
            return None
        if self.status is PaymentStatus.OPEN:
            return Void() if self.order_cancelled else Charge(self.customer_id, self.amount)
        if self.status is PaymentStatus.CHARGED and self.order_cancelled and self.charge_key is not None:
            return Refund(self.customer_id, self.amount, self.charge_key)
        return None


def is_overdue(*, issued_at: datetime, paid_at: datetime | None, now: datetime) -> bool:
    """Whether an invoice is still unpaid more than 30 days after it was issued."""
    return paid_at is None and now - issued_at > PAYMENT_TERM
