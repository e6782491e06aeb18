"""The gateway that moves no money."""

from decimal import Decimal

from insula import Money
from shop.billing.local_gateway import LocalGateway
from shop.billing.payment_gateway import Charged, Declined


async def test_amounts_up_to_the_limit_are_charged() -> None:
    gateway = LocalGateway(limit=Decimal(100))
    assert await gateway.charge("ann", Money("100.00", "EUR"), "key") == Charged()


async def test_amounts_above_the_limit_are_declined() -> None:
    gateway = LocalGateway(limit=Decimal(100))
    answer = await gateway.charge("ann", Money("100.01", "EUR"), "key")
    assert answer == Declined("100.01 EUR is above the limit of 100 EUR")


async def test_customers_without_credit_are_declined() -> None:
    gateway = LocalGateway(without_credit=frozenset({"ann"}))
    assert await gateway.charge("ann", Money("1.00", "EUR"), "key") == Declined("customer ann has no credit")


async def test_the_same_key_gets_the_same_answer_before_and_after_a_reversal() -> None:
    gateway = LocalGateway()
    first = await gateway.charge("ann", Money("1.00", "EUR"), "key")
    await gateway.reverse("key")
    assert await gateway.charge("ann", Money("1.00", "EUR"), "key") == first
