"""GET /mails/{order_id}: what was sent about an order."""

from sqlalchemy import select

from insula import UnitOfWork
from shop.notifications.contract import ListMails, Mail, Occasion
from shop.notifications.module import mails, notifications


@notifications.get("/mails/{order_id}")
@notifications.handle(ListMails)
async def list_mails(query: ListMails, work: UnitOfWork) -> tuple[Mail, ...]:
    """Every mail about the order."""
    sent = select(mails).where(mails.c.order_id == query.order_id).order_by(mails.c.occasion)
    return tuple(
        Mail(occasion=Occasion(row.occasion), recipient=row.recipient, subject=row.subject, body=row.body)
        for row in await work.execute(sent)
    )
