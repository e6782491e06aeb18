"""When stock suffices, and what may become of a reservation. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from insula import Rejection
from shop.kernel import OrderId, ProductId
from shop.orders.contract import PricedLine


class ReservationStatus(StrEnum):
    """What became of an order's stock."""

    RESERVED = "reserved"
    REFUSED = "refused"
    RELEASED = "released"
    SHIPPED = "shipped"
    NOT_WANTED = "not wanted"  # the order was cancelled before we saw that it was placed


class NothingReserved(Rejection):
    """A confirmed order has no stock set aside: not possible, so somebody has to look at it."""

    order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Too little of one product."""

    product_id: ProductId
    wanted: int
    available: int

    def __str__(self) -> str:
        return f"product {self.product_id}: {self.wanted} wanted, {self.available} left"


def units_wanted(lines: Iterable[PricedLine]) -> dict[ProductId, int]:
    """How many units of each product the lines ask for together."""
    wanted: dict[ProductId, int] = {}
    for line in lines:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    return wanted


def first_shortage(wanted: Mapping[ProductId, int], available: Mapping[ProductId, int]) -> Shortage | None:
    """The first product there is too little of; None when all is there."""
    for product_id, units in wanted.items():
        left = available.get(product_id, 0)
        if units > left:
            return Shortage(product_id=product_id, wanted=units, available=left)
    return None
