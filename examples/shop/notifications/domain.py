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
    match event:
        case InvoiceIssued():
            occasion, subject = Occasion.INVOICED, f"Your invoice {event.number} over {event.total}"
            text = "Thank you: your order is confirmed and paid."
        case ShipmentBooked():
            occasion, subject = Occasion.SHIPPED, f"Your parcel {event.number} is on its way"
            text = "We have handed your order to the carrier."
        case OrderCancelled():
            occasion, subject = Occasion.CANCELLED, f"Your order is cancelled: {event.reason.value}"
            text = event.detail or "You have called it off."
        case PaymentRefunded():
            occasion, subject = Occasion.REFUNDED, f"You have {event.amount} back"
            text = "Your order was cancelled after you had paid."
    body = f"Dear {customer.name},\n\n{text}\n\nOrder {event.order_id}\n"
    return Mail(occasion=occasion, recipient=customer.email, subject=subject, body=body)
