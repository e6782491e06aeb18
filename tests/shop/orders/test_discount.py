"""Who gets a discount is one specification, and every book of the shop agrees on what it makes of a price."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from insula import Money
from insula.testing import Scenario
from shop.billing.contract import GetInvoice
from shop.billing.payment_gateway import PaymentGateway
from shop.orders.contract import GetOrder, Line, OrderStatus, PlaceOrder
from shop.orders.discount import Basket, Loyalty, eligible
from shop.orders.domain import price_line
from shop.system import shop

ONE_TEA = Line(product_id="tea", quantity=1)
TEN_TEAS = Line(product_id="tea", quantity=10)


@pytest.mark.parametrize(
    ("tier", "total", "item_count", "answer"),
    [
        ("gold", "1.00", 1, True),
        ("silver", "100.00", 10, True),
        ("silver", "150.00", 3, False),
        ("silver", "99.99", 10, False),
        ("", "100.00", 9, False),
    ],
)
def test_gold_customers_and_large_orders_are_eligible(tier: str, total: str, item_count: int, answer: bool) -> None:
    assert eligible(Basket(tier, Money(total, "EUR"), item_count)) is answer


def test_an_explanation_says_what_is_missing() -> None:
    explanation = str(eligible.explain(Basket("silver", Money("150.00", "EUR"), 3)))
    assert "*     bulk, item_count >= 10: false  (item_count is 3)" in explanation
    assert "  discount, " in explanation


@pytest.mark.parametrize(
    ("gold", "line", "total"),
    [
        (["ann"], ONE_TEA, "11.25"),
        ([], ONE_TEA, "12.50"),
        ([], TEN_TEAS, "112.50"),
        (["ann"], replace(ONE_TEA, discount=Decimal("0.2")), "10.00"),
    ],
)
async def test_order_charge_and_invoice_are_over_the_same_price(
    given: Any, gateway: Any, gold: list[str], line: Line, total: str
) -> None:
    loyalty, expected = Loyalty(Decimal("0.1"), frozenset(gold)), Money(total, "EUR")
    async with Scenario(shop, ports={PaymentGateway: gateway, Loyalty: loyalty}) as scenario:
        await given.a_shop(scenario)
        order_id = await scenario.call(PlaceOrder(customer_id="ann", lines=(line,)))
        await scenario.settle()
        order = await scenario.call(GetOrder(order_id=order_id))
        (priced,) = order.lines
        assert order.status is OrderStatus.CONFIRMED
        assert priced == price_line(replace(line, discount=priced.discount), Money("12.50", "EUR"))
        assert order.total == priced.total == expected
        assert (await scenario.call(GetInvoice(order_id=order_id))).total == expected
        assert list(gateway.charged.values()) == [expected]


async def test_as_it_is_bound_nobody_gets_anything(given: Any, gateway: Any) -> None:
    async with Scenario(shop, ports={PaymentGateway: gateway}) as scenario:
        await given.a_shop(scenario)
        order_id = await scenario.call(PlaceOrder(customer_id="ann", lines=(TEN_TEAS,)))
        assert (await scenario.call(GetOrder(order_id=order_id))).total == Money("125.00", "EUR")


def test_a_discount_of_more_than_half_is_refused() -> None:
    with pytest.raises(ValueError, match=r"give 0 to 0\.5"):
        Loyalty(Decimal("0.51"))
