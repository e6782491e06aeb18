"""A slow mail server holds up no more than its own part of the shop."""

import asyncio

from insula.kernel import clock_of_process
from insula.resilience import BulkheadFull
from insula.testing import virtual_time
from shop.notifications.contract import Mail, Occasion
from shop.notifications.mail_calls import mail_bulkhead, send

MAIL = Mail(occasion=Occasion.SHIPPED, recipient="ann@customers.example", subject="It is on its way", body="")


class SlowSender:
    """Takes a second for each mail."""

    def __init__(self) -> None:
        self.at_once = self.most = self.sent = 0

    async def send(self, mail: Mail, key: str) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await clock_of_process().sleep(1)
        self.at_once -= 1
        self.sent += 1


async def test_eight_at_once_are_sent_and_a_hundred_wait_in_their_order() -> None:
    sender = SlowSender()
    with virtual_time() as clock:
        mails = [asyncio.ensure_future(send(sender, MAIL, f"{number}")) for number in range(109)]
        done, _ = await clock.run(asyncio.wait(mails))
        refused = [each for each in done if isinstance(each.exception(), BulkheadFull)]
        assert (sender.most, sender.sent, len(refused)) == (8, 108, 1)
        assert mail_bulkhead.snapshot().refused == 1
