"""What an order is and may become. Pure: no clock, no database, no framework."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from insula import Money
from shop.kernel import Address, CustomerId, OrderId, ProductId
from shop.orders.contract import (
    CancellationReason,
    InvalidOrder,
    Line,
    OrderAlreadyConfirmed,
    OrderStatus,
    PricedLine,
    UnknownProduct,
)


def price_line(line: Line, unit_price: Money) -> PricedLine:
    """Price * quantity * (1 - discount), rounded once, half to even."""
    return PricedLine(
        product_id=line.product_id,
        quantity=line.quantity,
        unit_price=unit_price,
        discount=line.discount,
        total=unit_price * (line.quantity * (Decimal(1) - line.discount)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order; its verbs return what it becomes, or itself where nothing changes."""

    order_id: OrderId
    customer_id: CustomerId
    lines: tuple[PricedLine, ...]
    total: Money
    ship_to: Address
    placed_at: datetime
    status: OrderStatus = OrderStatus.PENDING
    reason: CancellationReason | None = None
    detail: str = ""

    @classmethod
    def place(
        cls,
        order_id: OrderId,
        *,
        customer_id: CustomerId,
        lines: tuple[Line, ...],
        prices: Mapping[ProductId, Money],
        ship_to: Address,
        placed_at: datetime,
    ) -> "Order":
        """A new order. Raises UnknownProduct, and InvalidOrder for no lines or prices in several currencies."""
        if not lines:
            raise InvalidOrder(reason="an order needs at least one line")
        for line in lines:
            if line.product_id not in prices:
                raise UnknownProduct(product_id=line.product_id)
        priced = tuple(price_line(line, prices[line.product_id]) for line in lines)
        currencies = sorted({line.total.currency for line in priced})
        if len(currencies) > 1:
            raise InvalidOrder(reason=f"one order cannot be in {' and '.join(currencies)}")
        return cls(
            order_id=order_id,
            customer_id=customer_id,
            lines=priced,
            total=Money.total((line.total for line in priced), currencies[0]),
            ship_to=ship_to,
            placed_at=placed_at,
        )

    def confirm(self) -> "Order":
        """Paid: a pending order is confirmed. A cancelled one stays so, whatever else arrives late."""
        if self.status is not OrderStatus.PENDING:
            return self
        return replace(self, status=OrderStatus.CONFIRMED)

    def cancel(self, reason: CancellationReason, detail: str = "") -> "Order":
        """A pending order is cancelled, once. Raises OrderAlreadyConfirmed."""
        if self.status is OrderStatus.CONFIRMED:
            raise OrderAlreadyConfirmed(order_id=self.order_id)
        if self.status is OrderStatus.CANCELLED:
            return self
        return replace(self, status=OrderStatus.CANCELLED, reason=reason, detail=detail)
