"""What customers are told, once each."""

from typing import Any

import pytest

from insula import Event, Money
from insula.testing import Scenario
from shop.billing.contract import InvoiceIssued, PaymentRefunded
from shop.customers.contract import GetCustomer
from shop.notifications.contract import ListMails, Occasion
from shop.notifications.mail_sender import MailSender
from shop.notifications.module import notifications
from shop.orders.contract import CancellationReason
from shop.shipping.contract import ShipmentBooked

FIFTY = Money("50.00", "EUR")
INVOICED = InvoiceIssued(order_id="order-1", customer_id="ann", number="INV-0001", total=FIFTY)
SHIPPED = ShipmentBooked(order_id="order-1", customer_id="ann", number="SHP-0001")
REFUNDED = PaymentRefunded(order_id="order-1", customer_id="ann", amount=FIFTY)


@pytest.mark.parametrize(
    ("event", "occasion", "subject"),
    [
        (INVOICED, Occasion.INVOICED, "Your invoice INV-0001 over 50.00 EUR"),
        (SHIPPED, Occasion.SHIPPED, "Your parcel SHP-0001 is on its way"),
        (REFUNDED, Occasion.REFUNDED, "You have 50.00 EUR back"),
    ],
)
async def test_a_customer_is_told_by_mail(
    given: Any, mail_sender: Any, event: Event, occasion: Occasion, subject: str
) -> None:
    async with Scenario(notifications, ports={MailSender: mail_sender}) as scenario:
        scenario.stub(GetCustomer, given.customer)
        await scenario.deliver(event, source="elsewhere")
        (mail,) = mail_sender.sent.values()
        assert (mail.occasion, mail.recipient, mail.subject) == (occasion, "ann@customers.example", subject)
        assert mail.body.startswith("Dear Ann Lee,")
        assert await scenario.call(ListMails(order_id=given.order_id)) == (mail,)


async def test_a_cancellation_says_why(given: Any, mail_sender: Any) -> None:
    async with Scenario(notifications, ports={MailSender: mail_sender}) as scenario:
        scenario.stub(GetCustomer, given.customer)
        event = given.cancelled(CancellationReason.OUT_OF_STOCK, "product tea: 4 wanted, 3 left")
        await scenario.deliver(event, source="orders")
        (mail,) = mail_sender.sent.values()
        assert mail.subject == "Your order is cancelled: out of stock"
        assert "product tea: 4 wanted, 3 left" in mail.body


async def test_one_occasion_is_one_mail(given: Any, mail_sender: Any) -> None:
    async with Scenario(notifications, ports={MailSender: mail_sender}) as scenario:
        scenario.stub(GetCustomer, given.customer)
        for event in (INVOICED, SHIPPED, INVOICED, SHIPPED):
            await scenario.deliver(event, source="elsewhere")
        assert [mail.occasion for mail in mail_sender.sent.values()] == [Occasion.INVOICED, Occasion.SHIPPED]


async def test_a_mail_that_could_not_be_sent_is_sent_later_under_the_same_key(given: Any) -> None:
    class Flaky:
        keys: list[str] = []

        async def send(self, mail: object, key: str) -> None:
            self.keys.append(key)
            if len(self.keys) == 1:
                raise ConnectionError("no mail server")

    sender = Flaky()
    async with Scenario(notifications, ports={MailSender: sender}) as scenario:
        scenario.stub(GetCustomer, given.customer)
        await scenario.deliver(INVOICED, source="billing")
        assert await scenario.call(ListMails(order_id=given.order_id)) == ()
        await scenario.settle()
        assert len(await scenario.call(ListMails(order_id=given.order_id))) == 1
        assert len(sender.keys) == 2
        assert len(set(sender.keys)) == 1
