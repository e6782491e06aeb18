"""The gateway that moves no money."""

import pytest

from insula import Money
from insula.rules import RuleSet
from shop.billing.local_gateway import LocalGateway
from shop.billing.payment_gateway import Charged, Declined


@pytest.mark.parametrize(
    ("customer", "amount", "answer"),
    [
        ("ann", "5000.00", Charged()),
        ("ann", "5000.01", Declined("5000.01 EUR of customer ann: above-limit")),
        ("NO-CREDIT", "1.00", Declined("1.00 EUR of customer NO-CREDIT: no-credit")),
        ("NO-CREDIT", "9000.00", Declined("9000.00 EUR of customer NO-CREDIT: no-credit, above-limit")),
    ],
)
async def test_it_declines_by_the_rules_of_its_file(customer: str, amount: str, answer: Charged | Declined) -> None:
    assert await LocalGateway().charge(customer, Money(amount, "EUR"), "key") == answer


async def test_other_rules_decline_others() -> None:
    gateway = LocalGateway(RuleSet({"dollars": 'currency == "USD"'}))
    assert await gateway.charge("ann", Money("1.00", "USD"), "key") == Declined("1.00 USD of customer ann: dollars")
    assert await gateway.charge("ann", Money("9000.00", "EUR"), "key") == Charged()


async def test_the_same_key_gets_the_same_answer_before_and_after_a_reversal() -> None:
    gateway = LocalGateway()
    first = await gateway.charge("ann", Money("1.00", "EUR"), "key")
    await gateway.reverse("key")
    assert await gateway.charge("ann", Money("1.00", "EUR"), "key") == first
