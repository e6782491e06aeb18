"""How mail is handed over: by a few at once, so that a slow mail server holds up nothing else.

Whoever finds the line full fails, is parked by the framework and tried again.
"""

from insula.resilience import Bulkhead
from shop.notifications.contract import Mail
from shop.notifications.mail_sender import MailSender

mail_bulkhead = Bulkhead(8, waiting=100, wait_seconds=30, name="mail sender")


@mail_bulkhead
async def send(sender: MailSender, mail: Mail, key: str) -> None:
    """Hand a mail over; the same key sends it once."""
    await sender.send(mail, key)
