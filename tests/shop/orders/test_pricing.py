"""The new pricing of many of one product, behind its flag."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from insula import Money
from insula.flags import Flags, override
from insula.messages import FrozenMap
from insula.testing import Scenario
from shop.catalog.contract import GetPrices
from shop.customers.contract import GetCustomer
from shop.orders.contract import GetOrder, Line, PlaceOrder
from shop.orders.module import orders
from shop.orders.pricing import bulk_prices, lines_for

LINES = (
    Line(product_id="tea", quantity=100),
    Line(product_id="tea", quantity=100, discount=Decimal("0.10")),
    Line(product_id="tea", quantity=99),
)


@asynccontextmanager
async def orders_alone(given: Any) -> AsyncIterator[Scenario]:
    async with Scenario(orders) as scenario:
        scenario.stub(GetCustomer, given.customer)
        scenario.stub(GetPrices, lambda _: FrozenMap({"tea": Money("10.00", "EUR")}))
        yield scenario


async def total(given: Any) -> Money:
    """What the order comes to, as its customer sees it."""
    async with orders_alone(given) as scenario:
        order_id = await scenario.call(PlaceOrder(customer_id="ann", lines=LINES))
        return (await scenario.call(GetOrder(order_id=order_id))).total


async def test_without_the_flag_an_order_costs_what_it_did(given: Any) -> None:
    assert await total(given) == Money("2890.00", "EUR")


async def test_with_the_flag_bulk_lines_are_cheaper_and_no_discount_gets_smaller(given: Any) -> None:
    with override(bulk_prices, True):
        assert await total(given) == Money("2840.00", "EUR")


def test_a_rollout_decides_by_customer() -> None:
    flags = Flags({"bulk-prices": {"allow": ["ann"]}})
    assert flags.is_on(bulk_prices.key, "ann")
    assert not flags.is_on(bulk_prices.key, "bob")
    with override(bulk_prices, False):
        assert lines_for("ann", LINES) == LINES


def test_the_flag_has_an_owner_and_a_last_day() -> None:
    assert (bulk_prices.owner, bulk_prices.expires is not None, bulk_prices.default) == ("orders", True, False)
