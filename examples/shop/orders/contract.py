"""What other modules and clients may know of orders."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from insula import Command, Event, Money, Query, Rejection
from shop.kernel import Address, CustomerId, OrderId, ProductId


class OrderStatus(StrEnum):
    """Every order begins pending and ends, for good, confirmed or cancelled."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class CancellationReason(StrEnum):
    """Why an order was cancelled."""

    OUT_OF_STOCK = "out of stock"
    PAYMENT_DECLINED = "payment declined"
    BY_CUSTOMER = "cancelled by customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """So many of a product. `discount` is the part taken off its price: 0.05 is five per cent."""

    product_id: ProductId
    quantity: int
    discount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedLine:
    """A line with its price; `total` is unit price * quantity * (1 - discount), rounded half to even."""

    product_id: ProductId
    quantity: int
    unit_price: Money
    discount: Decimal
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDetails:
    """An order as its customer sees it. `number` is for people, such as ORD-0001; `reason` is why it was cancelled."""

    order_id: OrderId
    number: str
    customer_id: CustomerId
    status: OrderStatus
    lines: tuple[PricedLine, ...]
    total: Money
    ship_to: Address
    placed_at: datetime
    reason: CancellationReason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSummary:
    """An order in a list, joined with its customer's name."""

    order_id: OrderId
    number: str
    customer_id: CustomerId
    customer_name: str
    status: OrderStatus
    total: Money
    placed_at: datetime
    reason: CancellationReason | None = None


class UnknownCustomer(Rejection, status=422):
    customer_id: CustomerId


class UnknownProduct(Rejection, status=422):
    product_id: ProductId


class InvalidOrder(Rejection, status=422):
    reason: str


class OrderNotFound(Rejection, status=404):
    order_id: OrderId


class OrderAlreadyConfirmed(Rejection):
    """It is paid and on its way: too late to cancel."""

    order_id: OrderId


class PlaceOrder(Command[OrderId], rejects=(InvalidOrder, UnknownCustomer, UnknownProduct)):
    """Order some products. Without `ship_to` they go to the customer's own address."""

    customer_id: CustomerId
    lines: tuple[Line, ...]
    ship_to: Address | None = None


class CancelOrder(Command[None], rejects=(OrderNotFound, OrderAlreadyConfirmed)):
    """Call an order off before it is confirmed; once more is harmless."""

    order_id: OrderId


class GetOrder(Query[OrderDetails], rejects=(OrderNotFound,)):
    order_id: OrderId


class ListOrders(Query[tuple[OrderSummary, ...]]):
    """Orders, the newest first; `customer_id` and `status` choose among them."""

    limit: int = 50
    customer_id: CustomerId | None = None
    status: OrderStatus | None = None


class OrderPlaced(Event, key="order_id"):
    """An order is accepted; whether it can be delivered and paid is still open."""

    order_id: OrderId
    customer_id: CustomerId
    lines: tuple[PricedLine, ...]
    total: Money


class OrderConfirmed(Event, key="order_id"):
    """Stock is reserved and the money is there: the order will be delivered. Final."""

    order_id: OrderId
    customer_id: CustomerId
    lines: tuple[PricedLine, ...]
    total: Money
    ship_to: Address


class OrderCancelled(Event, key="order_id"):
    """Nothing will be delivered or kept from the customer's money. Final."""

    order_id: OrderId
    customer_id: CustomerId
    reason: CancellationReason
    detail: str = ""
