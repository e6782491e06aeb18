"""The whole shop: one order from its placing to its end, by events alone."""

from typing import Any

import pytest

from insula import Event, Money
from insula.kernel import SeededRandomness
from insula.testing import Scenario
from shop.billing.contract import (
    GetInvoice,
    InvoiceIssued,
    InvoiceNotFound,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
)
from shop.billing.payment_gateway import PaymentGateway
from shop.inventory.contract import GetStock, StockRefused, StockReleased, StockReserved
from shop.notifications.contract import ListMails, Occasion
from shop.orders.contract import (
    CancellationReason,
    CancelOrder,
    GetOrder,
    Line,
    ListOrders,
    OrderAlreadyConfirmed,
    OrderCancelled,
    OrderConfirmed,
    OrderDetails,
    OrderPlaced,
    OrderStatus,
    PlaceOrder,
)
from shop.shipping.contract import GetShipment, ShipmentBooked, ShipmentNotFound
from shop.system import shop

FOUR_TEAS = PlaceOrder(customer_id="ann", lines=(Line(product_id="tea", quantity=4),))


async def stock(scenario: Scenario) -> tuple[int, int, int]:
    level = await scenario.call(GetStock(product_id="tea"))
    return level.available, level.reserved, level.shipped


async def order(scenario: Scenario, order_id: str) -> OrderDetails:
    return await scenario.call(GetOrder(order_id=order_id))


async def occasions(scenario: Scenario, order_id: str) -> set[Occasion]:
    return {mail.occasion for mail in await scenario.call(ListMails(order_id=order_id))}


def kinds(events: list[Event]) -> set[type[Event]]:
    return {type(event) for event in events}


@pytest.mark.parametrize("duplicate", [False, True])
async def test_an_order_is_confirmed_invoiced_and_shipped_once(given: Any, gateway: Any, duplicate: bool) -> None:
    async with Scenario(shop, ports={PaymentGateway: gateway}) as scenario:
        await given.a_shop(scenario)
        order_id = await scenario.call(FOUR_TEAS)
        await scenario.settle(duplicate=duplicate)
        assert (await order(scenario, order_id)).status is OrderStatus.CONFIRMED
        assert (await scenario.call(GetInvoice(order_id=order_id))).total == Money("50.00", "EUR")
        assert (await scenario.call(GetShipment(order_id=order_id))).units == 4
        assert await stock(scenario) == (6, 0, 4)
        assert list(gateway.charged.values()) == [Money("50.00", "EUR")]
        assert await occasions(scenario, order_id) == {Occasion.INVOICED, Occasion.SHIPPED}
        assert len(scenario.published) == 6
        assert kinds(scenario.published) == {
            OrderPlaced,
            StockReserved,
            PaymentCharged,
            OrderConfirmed,
            InvoiceIssued,
            ShipmentBooked,
        }


async def test_too_little_stock_is_an_answer_not_a_failure(given: Any, gateway: Any) -> None:
    async with Scenario(shop, ports={PaymentGateway: gateway}) as scenario:
        await given.a_shop(scenario, units=3)
        order_id = await scenario.call(FOUR_TEAS)
        await scenario.settle()
        ended = await order(scenario, order_id)
        assert (ended.status, ended.reason) == (OrderStatus.CANCELLED, CancellationReason.OUT_OF_STOCK)
        assert ended.detail == "product tea: 4 wanted, 3 left"
        assert kinds(scenario.published) == {OrderPlaced, StockRefused, OrderCancelled}
        assert gateway.calls == []
        assert await stock(scenario) == (3, 0, 0)
        assert await occasions(scenario, order_id) == {Occasion.CANCELLED}


async def test_a_declined_payment_releases_the_stock(given: Any, gateway: Any) -> None:
    gateway.refusal = "no credit"
    async with Scenario(shop, ports={PaymentGateway: gateway}) as scenario:
        await given.a_shop(scenario)
        order_id = await scenario.call(FOUR_TEAS)
        await scenario.settle(duplicate=True)
        ended = await order(scenario, order_id)
        assert (ended.status, ended.reason) == (OrderStatus.CANCELLED, CancellationReason.PAYMENT_DECLINED)
        assert kinds(scenario.published) == {
            OrderPlaced,
            StockReserved,
            PaymentDeclined,
            OrderCancelled,
            StockReleased,
        }
        assert await stock(scenario) == (10, 0, 0)
        with pytest.raises(InvoiceNotFound):
            await scenario.call(GetInvoice(order_id=order_id))
        with pytest.raises(ShipmentNotFound):
            await scenario.call(GetShipment(order_id=order_id))


async def test_the_last_unit_is_sold_once(given: Any) -> None:
    async with Scenario(shop) as scenario:
        await given.a_shop(scenario, units=6)
        order_ids = [await scenario.call(FOUR_TEAS) for _ in range(3)]
        await scenario.settle()
        statuses = [(await order(scenario, order_id)).status for order_id in order_ids]
        assert sorted(statuses) == [OrderStatus.CANCELLED, OrderStatus.CANCELLED, OrderStatus.CONFIRMED]
        assert await stock(scenario) == (2, 0, 4)


async def test_an_order_cancelled_at_once_costs_nothing(given: Any, gateway: Any) -> None:
    async with Scenario(shop, ports={PaymentGateway: gateway}) as scenario:
        await given.a_shop(scenario)
        order_id = await scenario.call(FOUR_TEAS)
        await scenario.call(CancelOrder(order_id=order_id))
        await scenario.settle(duplicate=True)
        await scenario.call(CancelOrder(order_id=order_id))
        assert (await order(scenario, order_id)).reason is CancellationReason.BY_CUSTOMER
        assert gateway.charged == {}
        assert await stock(scenario) == (10, 0, 0)


@pytest.mark.parametrize("seed", range(10))
async def test_cancelled_in_the_middle_it_ends_one_way_or_the_other(given: Any, gateway: Any, seed: int) -> None:
    """Messages travel in an order drawn by lot, with a crash and the cancellation somewhere among them."""
    chance = SeededRandomness(seed)
    async with Scenario(shop, ports={PaymentGateway: gateway}) as scenario:
        await given.a_shop(scenario)
        order_id = await scenario.call(FOUR_TEAS)
        cancel_at, crash_at, too_late = int(40 * chance.random()), int(40 * chance.random()), False
        for step in range(40):
            relays = scenario.wired.relays
            await relays[int(len(relays) * chance.random())].step(twice=chance.random() < 0.3)
            if step == crash_at:
                await scenario.restart()
            if step == cancel_at:
                try:
                    await scenario.call(CancelOrder(order_id=order_id))
                except OrderAlreadyConfirmed:
                    too_late = True
        await scenario.settle()
        ended = await order(scenario, order_id)
        if too_late:
            assert ended.status is OrderStatus.CONFIRMED
            assert await stock(scenario) == (6, 0, 4)
            assert list(gateway.charged.values()) == [Money("50.00", "EUR")]
            assert await occasions(scenario, order_id) == {Occasion.INVOICED, Occasion.SHIPPED}
        else:
            assert ended.status is OrderStatus.CANCELLED
            assert await stock(scenario) == (10, 0, 0)
            assert gateway.charged == {}
            refunded = PaymentRefunded in kinds(scenario.published)
            told = {Occasion.CANCELLED, Occasion.REFUNDED} if refunded else {Occasion.CANCELLED}
            assert await occasions(scenario, order_id) == told
        assert [parked for module in shop.modules for parked in await scenario.parked(module)] == []


async def test_orders_are_listed_with_the_names_of_their_customers(given: Any) -> None:
    async with Scenario(shop) as scenario:
        await given.a_shop(scenario)
        await scenario.call(FOUR_TEAS)
        await scenario.call(FOUR_TEAS)
        await scenario.settle()
        listed = await scenario.call(ListOrders())
        assert [(each.number, each.customer_name) for each in listed] == [
            ("ORD-0002", "Ann Lee"),
            ("ORD-0001", "Ann Lee"),
        ]
