"""Tell the customer what became of an order."""

from sqlalchemy import insert

from insula import Ask, Context, UnitOfWork
from shop.billing.contract import InvoiceIssued, PaymentRefunded
from shop.customers.contract import GetCustomer
from shop.notifications.domain import Told, write
from shop.notifications.mail_calls import send
from shop.notifications.mail_sender import MailSender
from shop.notifications.module import mails, notifications
from shop.orders.contract import OrderCancelled
from shop.shipping.contract import ShipmentBooked


@notifications.on(InvoiceIssued)
async def tell_invoiced(event: InvoiceIssued, ask: Ask, sender: MailSender, context: Context, work: UnitOfWork) -> None:
    """The order is confirmed and paid."""
    await tell(event, ask, sender, context, work)


@notifications.on(ShipmentBooked)
async def tell_shipped(event: ShipmentBooked, ask: Ask, sender: MailSender, context: Context, work: UnitOfWork) -> None:
    """The parcel is on its way."""
    await tell(event, ask, sender, context, work)


@notifications.on(OrderCancelled)
async def tell_cancelled(
    event: OrderCancelled, ask: Ask, sender: MailSender, context: Context, work: UnitOfWork
) -> None:
    """The order is cancelled, and why."""
    await tell(event, ask, sender, context, work)


@notifications.on(PaymentRefunded)
async def tell_refunded(
    event: PaymentRefunded, ask: Ask, sender: MailSender, context: Context, work: UnitOfWork
) -> None:
    """The money is back."""
    await tell(event, ask, sender, context, work)


async def tell(event: Told, ask: Ask, sender: MailSender, context: Context, work: UnitOfWork) -> None:
    """Write the mail, hand it over with a key that is the same at every attempt, and keep a copy."""
    customer = await ask(GetCustomer(customer_id=event.customer_id))
    mail = write(event, customer)
    await send(sender, mail, context.idempotency_key("mail"))
    copy = {
        "order_id": event.order_id,
        "occasion": mail.occasion.value,
        "recipient": mail.recipient,
        "subject": mail.subject,
        "body": mail.body,
    }
    await work.execute(insert(mails), copy)
