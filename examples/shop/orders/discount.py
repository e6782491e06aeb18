"""Who gets something off an order, and how much. Nothing for anybody, as it is bound here."""

from dataclasses import dataclass, replace
from decimal import Decimal

from insula import Money
from insula.rules import fields
from shop.kernel import CustomerId
from shop.orders.contract import Line
from shop.orders.domain import Order, price_line
from shop.orders.module import orders


@dataclass(frozen=True, slots=True)
class Basket:
    """What the decision is about."""

    customer_tier: str
    total: Money
    item_count: int


basket = fields(Basket)
gold = (basket.customer_tier == "gold").named("gold customer")
high_value = (basket.total.amount >= 100).named("high value")
bulk = (basket.item_count >= 10).named("bulk")
eligible = (gold | (high_value & bulk)).named("discount")


class Loyalty:
    """Takes something off the price of each line.

    Parameters: `rate`, which part, from 0 (default) to 0.5; `gold`, who is a gold customer.
    """

    def __init__(self, rate: Decimal = Decimal(0), gold: frozenset[CustomerId] = frozenset()) -> None:
        if not 0 <= rate <= Decimal("0.5"):
            raise ValueError(f"Loyalty(rate={rate}): give 0 to 0.5")
        self._rate = rate
        self._gold = gold

    def applied(self, order: Order) -> Order:
        """The order with each line at the better of two discounts: its own, or this one where the order is eligible."""
        tier = "gold" if order.customer_id in self._gold else ""
        if not self._rate or not eligible(Basket(tier, order.total, sum(line.quantity for line in order.lines))):
            return order
        lines = tuple(
            price_line(
                Line(product_id=line.product_id, quantity=line.quantity, discount=max(line.discount, self._rate)),
                line.unit_price,
            )
            for line in order.lines
        )
        return replace(order, lines=lines, total=Money.total((line.total for line in lines), order.total.currency))


orders.bind(Loyalty, Loyalty)
