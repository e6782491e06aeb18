"""What other modules and clients may know of the stock."""

from dataclasses import dataclass

from insula import Command, Event, Query, Rejection
from shop.kernel import OrderId, ProductId


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLevel:
    """Units of a product: always received = available + reserved + shipped."""

    product_id: ProductId
    received: int
    available: int
    reserved: int
    shipped: int


class StockNotFound(Rejection, status=404):
    """Nothing of this product was ever received."""

    product_id: ProductId


class ReceiptDiffers(Rejection):
    """The receipt was booked before, with another content."""

    receipt_id: str


class InvalidReceipt(Rejection, status=422):
    reason: str


class ReceiveStock(Command[None], rejects=(InvalidReceipt, ReceiptDiffers)):
    """Book goods that came in; the same receipt again is harmless."""

    receipt_id: str
    product_id: ProductId
    quantity: int


class GetStock(Query[StockLevel], rejects=(StockNotFound,)):
    product_id: ProductId


class StockReserved(Event, key="order_id"):
    """Every line of the order is set aside."""

    order_id: OrderId


class StockRefused(Event, key="order_id"):
    """Nothing is set aside; `reason` names the first product there is too little of."""

    order_id: OrderId
    product_id: ProductId
    wanted: int
    available: int
    reason: str


class StockReleased(Event, key="order_id"):
    """What was set aside is available again."""

    order_id: OrderId
