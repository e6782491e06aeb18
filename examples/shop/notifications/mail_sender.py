"""The port to whoever delivers mail, and the local adapter."""

import logging
from typing import Protocol

from shop.notifications.contract import Mail

logger = logging.getLogger(__name__)


class MailSender(Protocol):
    """Sends mail outside our database; the same key sends it once."""

    async def send(self, mail: Mail, key: str) -> None:
        """Hand the mail over. Raises what it likes when it cannot; the caller tries again with the same key."""
        ...


class LoggingMailSender:
    """Sends nothing: says in the log, at level DEBUG, what would be sent; the module keeps the copy."""

    async def send(self, mail: Mail, key: str) -> None:
        """Log recipient and subject."""
        logger.debug("mail to %s: %s (%s)", mail.recipient, mail.subject, key)
