"""GET /shipments/{order_id}: the parcel of an order."""

from datetime import datetime

from sqlalchemy import select

from insula import UnitOfWork
from shop.shipping.contract import GetShipment, Shipment, ShipmentNotFound
from shop.shipping.module import shipments, shipping, shown_number


@shipping.get("/shipments/{order_id}")
@shipping.handle(GetShipment)
async def get_shipment(query: GetShipment, work: UnitOfWork) -> Shipment:
    """The shipment booked for the order."""
    rows = await work.execute(select(shipments).where(shipments.c.order_id == query.order_id))
    row = rows.first()
    if row is None:
        raise ShipmentNotFound(order_id=query.order_id)
    return Shipment(
        number=shown_number(row.number),
        order_id=row.order_id,
        customer_id=row.customer_id,
        label=tuple(row.label.split("\n")),
        units=row.units,
        booked_at=datetime.fromisoformat(row.booked_at),
    )
