"""What other modules and clients may know of shipments."""

from dataclasses import dataclass
from datetime import datetime

from insula import Event, Query, Rejection
from shop.kernel import CustomerId, OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """A parcel for one order. `number` is for people, such as SHP-0001; `label` is the address, line by line."""

    number: str
    order_id: OrderId
    customer_id: CustomerId
    label: tuple[str, ...]
    units: int
    booked_at: datetime


class ShipmentNotFound(Rejection, status=404):
    """There is no such order, or it is not confirmed (yet)."""

    order_id: OrderId


class GetShipment(Query[Shipment], rejects=(ShipmentNotFound,)):
    order_id: OrderId


class ShipmentBooked(Event, key="order_id"):
    order_id: OrderId
    customer_id: CustomerId
    number: str
