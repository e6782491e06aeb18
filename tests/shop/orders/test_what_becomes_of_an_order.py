"""How an order ends: by what billing and inventory say, or by its customer's wish."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from insula import Money
from insula.messages import FrozenMap
from insula.testing import Scenario
from shop.billing.contract import PaymentCharged, PaymentDeclined
from shop.catalog.contract import GetPrices
from shop.customers.contract import GetCustomer
from shop.inventory.contract import StockRefused
from shop.kernel import OrderId
from shop.orders.contract import (
    CancellationReason,
    CancelOrder,
    GetOrder,
    Line,
    OrderAlreadyConfirmed,
    OrderCancelled,
    OrderConfirmed,
    OrderNotFound,
    OrderStatus,
    PlaceOrder,
)
from shop.orders.module import orders


@asynccontextmanager
async def an_order(given: Any) -> AsyncIterator[tuple[Scenario, OrderId]]:
    async with Scenario(orders) as scenario:
        scenario.stub(GetCustomer, given.customer)
        scenario.stub(GetPrices, FrozenMap({"tea": Money("12.50", "EUR")}))
        yield scenario, await scenario.call(PlaceOrder(customer_id="ann", lines=(Line(product_id="tea", quantity=4),)))


def charged(order_id: OrderId) -> PaymentCharged:
    return PaymentCharged(order_id=order_id, amount=Money("50.00", "EUR"))


async def test_a_paid_order_is_confirmed(given: Any) -> None:
    async with an_order(given) as (scenario, order_id):
        await scenario.deliver(charged(order_id), source="billing")
        order = await scenario.call(GetOrder(order_id=order_id))
        assert (order.status, order.reason) == (OrderStatus.CONFIRMED, None)
        assert scenario.published[1:] == [
            OrderConfirmed(
                order_id=order_id, customer_id="ann", lines=order.lines, total=order.total, ship_to=given.address
            )
        ]


async def test_an_order_without_stock_is_cancelled_naming_the_product(given: Any) -> None:
    async with an_order(given) as (scenario, order_id):
        reason = "product tea: 4 wanted, 3 left"
        await scenario.deliver(
            StockRefused(order_id=order_id, product_id="tea", wanted=4, available=3, reason=reason), source="inventory"
        )
        order = await scenario.call(GetOrder(order_id=order_id))
        assert (order.status, order.reason) == (OrderStatus.CANCELLED, CancellationReason.OUT_OF_STOCK)
        assert order.detail == reason


async def test_an_order_whose_payment_is_declined_is_cancelled(given: Any) -> None:
    async with an_order(given) as (scenario, order_id):
        await scenario.deliver(PaymentDeclined(order_id=order_id, reason="no credit"), source="billing")
        order = await scenario.call(GetOrder(order_id=order_id))
        assert (order.status, order.reason) == (OrderStatus.CANCELLED, CancellationReason.PAYMENT_DECLINED)
        assert order.detail == "no credit"


async def test_cancelling_twice_is_harmless(given: Any) -> None:
    async with an_order(given) as (scenario, order_id):
        await scenario.call(CancelOrder(order_id=order_id))
        await scenario.call(CancelOrder(order_id=order_id))
        assert (await scenario.call(GetOrder(order_id=order_id))).reason is CancellationReason.BY_CUSTOMER
        assert scenario.published[1:] == [
            OrderCancelled(order_id=order_id, customer_id="ann", reason=CancellationReason.BY_CUSTOMER)
        ]


async def test_cancelling_an_unknown_order_is_a_typed_no() -> None:
    async with Scenario(orders) as scenario:
        with pytest.raises(OrderNotFound) as no:
            await scenario.call(CancelOrder(order_id="no-such-order"))
        assert no.value == OrderNotFound(order_id="no-such-order")
        assert no.value.status == 404


async def test_cancelling_a_confirmed_order_is_a_typed_no(given: Any) -> None:
    async with an_order(given) as (scenario, order_id):
        await scenario.deliver(charged(order_id), source="billing")
        with pytest.raises(OrderAlreadyConfirmed) as no:
            await scenario.call(CancelOrder(order_id=order_id))
        assert no.value.status == 409
        assert (await scenario.call(GetOrder(order_id=order_id))).status is OrderStatus.CONFIRMED


async def test_a_payment_that_comes_after_the_cancellation_confirms_nothing(given: Any) -> None:
    async with an_order(given) as (scenario, order_id):
        await scenario.call(CancelOrder(order_id=order_id))
        await scenario.deliver(charged(order_id), source="billing")
        assert (await scenario.call(GetOrder(order_id=order_id))).status is OrderStatus.CANCELLED
        assert not any(isinstance(event, OrderConfirmed) for event in scenario.published)


async def test_news_of_an_order_nobody_placed_is_a_dead_letter() -> None:
    async with Scenario(orders) as scenario:
        await scenario.deliver(charged(OrderId("no-such-order")), source="billing")
        (letter,) = await scenario.parked(orders)
        assert letter.consumer == "orders.confirm_order"
        assert "OrderNotFound" in letter.error
