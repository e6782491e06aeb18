"""What customers are told. Pure."""

from shop.billing.contract import InvoiceIssued, PaymentRefunded
from shop.customers.contract import Customer
from shop.notifications.contract import Mail, Occasion
from shop.orders.contract import OrderCancelled
from shop.shipping.contract import ShipmentBooked

Told = InvoiceIssued | ShipmentBooked | OrderCancelled | PaymentRefunded
"""The events that a customer hears of."""


def write(event: Told, customer: Customer) -> Mail:
    """The mail about an event."""
    occasion, subject, text = _content(event)
    body = f"Dear {customer.name},\n\n{text}\n\nOrder {event.order_id}\n"
    return Mail(occasion=occasion, recipient=customer.email, subject=subject, body=body)


def _content(event: Told) -> tuple[Occasion, str, str]:
    match event:
        case InvoiceIssued():
            subject = f"Your invoice {event.number} over {event.total}"
            return Occasion.INVOICED, subject, "Thank you: your order is confirmed and paid."
        case ShipmentBooked():
            subject = f"Your parcel {event.number} is on its way"
            return Occasion.SHIPPED, subject, "We have handed your order to the carrier."
        case OrderCancelled():
            subject = f"Your order is cancelled: {event.reason.value}"
            return Occasion.CANCELLED, subject, event.detail or "You have called it off."
        case PaymentRefunded():
            subject = f"You have {event.amount} back"
            return Occasion.REFUNDED, subject, "Your order was cancelled after you had paid."
