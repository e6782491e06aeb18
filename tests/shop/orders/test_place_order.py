"""Placing an order, with catalog and customers stubbed by their contracts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from insula import Money
from insula.messages import FrozenMap
from insula.testing import Scenario
from shop.catalog.contract import GetPrices
from shop.customers.contract import CustomerNotFound, GetCustomer
from shop.kernel import Address
from shop.orders.contract import (
    GetOrder,
    InvalidOrder,
    Line,
    OrderPlaced,
    OrderStatus,
    PlaceOrder,
    UnknownCustomer,
    UnknownProduct,
)
from shop.orders.module import lines, orders, placed

MESSAGE_ID = "019b0000-0000-7000-8000-000000000001"
PRICES = {"tea": Money("12.50", "EUR"), "figs": Money("3.00", "EUR")}
FOUR_TEAS = PlaceOrder(customer_id="ann", lines=(Line(product_id="tea", quantity=4),))


@asynccontextmanager
async def orders_alone(given: Any) -> AsyncIterator[Scenario]:
    async with Scenario(orders) as scenario:
        scenario.stub(GetCustomer, given.customer)
        scenario.stub(
            GetPrices, lambda query: FrozenMap({id_: PRICES[id_] for id_ in query.product_ids if id_ in PRICES})
        )
        yield scenario


async def test_an_order_is_placed_and_read_back(given: Any) -> None:
    async with orders_alone(given) as scenario:
        order_id = await scenario.call(FOUR_TEAS)
        order = await scenario.call(GetOrder(order_id=order_id))
        assert order.number == "ORD-0001"
        assert order.total == Money("50.00", "EUR")
        assert order.status is OrderStatus.PENDING
        assert order.lines == (given.line("tea", 4, "12.50"),)
        assert scenario.published == [
            OrderPlaced(order_id=order_id, customer_id="ann", lines=order.lines, total=Money("50.00", "EUR"))
        ]


async def test_ids_are_opaque_and_numbers_count_up(given: Any) -> None:
    async with orders_alone(given) as scenario:
        first, second = await scenario.call(FOUR_TEAS), await scenario.call(FOUR_TEAS)
        assert len({first, second}) == 2
        assert len(first) == 36
        assert (await scenario.call(GetOrder(order_id=second))).number == "ORD-0002"


async def test_the_same_request_again_is_the_same_order(given: Any) -> None:
    async with orders_alone(given) as scenario:
        first = await scenario.call(FOUR_TEAS, message_id=MESSAGE_ID)
        assert await scenario.call(FOUR_TEAS, message_id=MESSAGE_ID) == first
        assert len(await scenario.rows(orders, placed.select())) == 1
        assert len(scenario.published) == 1


async def test_an_order_goes_to_the_customer_unless_told_otherwise(given: Any) -> None:
    office = Address(name="Office", street="Quai 1", city="Nantes", country="France")
    async with orders_alone(given) as scenario:
        home_id = await scenario.call(FOUR_TEAS)
        office_id = await scenario.call(PlaceOrder(customer_id="ann", lines=FOUR_TEAS.lines, ship_to=office))
        assert (await scenario.call(GetOrder(order_id=home_id))).ship_to == given.address
        assert (await scenario.call(GetOrder(order_id=office_id))).ship_to == office


async def test_an_unknown_customer_is_refused(given: Any) -> None:
    async with orders_alone(given) as scenario:
        scenario.stub(GetCustomer, CustomerNotFound(customer_id="bob"))
        with pytest.raises(UnknownCustomer) as no:
            await scenario.call(PlaceOrder(customer_id="bob", lines=FOUR_TEAS.lines))
        assert no.value == UnknownCustomer(customer_id="bob")
        assert scenario.published == []


async def test_an_unknown_product_is_refused_and_nothing_is_stored(given: Any) -> None:
    async with orders_alone(given) as scenario:
        with pytest.raises(UnknownProduct) as no:
            await scenario.call(PlaceOrder(customer_id="ann", lines=(Line(product_id="herring", quantity=1),)))
        assert no.value == UnknownProduct(product_id="herring")
        assert await scenario.rows(orders, placed.select()) == []
        assert await scenario.rows(orders, lines.select()) == []


async def test_a_request_refused_once_is_refused_alike_after_the_world_changed(given: Any) -> None:
    async with orders_alone(given) as scenario:
        scenario.stub(GetCustomer, CustomerNotFound(customer_id="ann"))
        with pytest.raises(UnknownCustomer):
            await scenario.call(FOUR_TEAS, message_id=MESSAGE_ID)
        scenario.stub(GetCustomer, given.customer)
        with pytest.raises(UnknownCustomer) as again:
            await scenario.call(FOUR_TEAS, message_id=MESSAGE_ID)
        assert again.value == UnknownCustomer(customer_id="ann")


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ((), "lines"),
        ((Line(product_id="tea", quantity=0),), "lines[0].quantity"),
        ((Line(product_id="tea", quantity=1), Line(product_id="tea", quantity=-1)), "lines[1].quantity"),
        ((Line(product_id="tea", quantity=10**20),), "lines[0].quantity"),
        ((Line(product_id="tea", quantity=1, discount=Decimal("-0.1")),), "lines[0].discount"),
        ((Line(product_id="tea", quantity=1, discount=Decimal("0.51")),), "lines[0].discount"),
        ((Line(product_id="tea", quantity=1, discount=Decimal("0.00001")),), "lines[0].discount"),
        ((Line(product_id="tea", quantity=1, discount=Decimal("NaN")),), "lines[0].discount"),
        ((Line(product_id="tea", quantity=1, discount=Decimal("Infinity")),), "lines[0].discount"),
        (tuple(Line(product_id="tea", quantity=1) for _ in range(101)), "lines"),
    ],
)
async def test_a_line_out_of_range_is_refused_and_named(given: Any, bad: tuple[Line, ...], named: str) -> None:
    async with orders_alone(given) as scenario:
        with pytest.raises(InvalidOrder) as no:
            await scenario.call(PlaceOrder(customer_id="ann", lines=bad))
        assert no.value.reason.startswith(f"{named}:")
        assert no.value.status == 422
