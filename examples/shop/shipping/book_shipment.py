"""Book the parcel of a confirmed order."""

from sqlalchemy import insert

from insula import Clock, UnitOfWork
from shop.orders.contract import OrderConfirmed
from shop.shipping.contract import ShipmentBooked
from shop.shipping.module import shipments, shipping, shown_number


@shipping.on(OrderConfirmed)
async def book_shipment(event: OrderConfirmed, clock: Clock, work: UnitOfWork) -> None:
    """One parcel an order, to the address that was agreed when it was placed."""
    shipment = {
        "order_id": event.order_id,
        "customer_id": event.customer_id,
        "label": "\n".join(event.ship_to.label()),
        "units": sum(line.quantity for line in event.lines),
        "booked_at": clock.now().isoformat(),
    }
    number = await work.scalar(insert(shipments).returning(shipments.c.number), shipment)
    work.publish(ShipmentBooked(order_id=event.order_id, customer_id=event.customer_id, number=shown_number(number)))
