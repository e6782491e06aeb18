"""A list of orders, each joined with its customer by asking the module that owns customers."""

from typing import Any

from insula import Money
from insula.messages import FrozenMap
from insula.testing import Scenario
from shop.catalog.contract import GetPrices
from shop.customers.contract import GetCustomer, GetCustomerNames
from shop.orders.contract import CancelOrder, Line, ListOrders, OrderStatus, PlaceOrder
from shop.orders.module import orders


async def with_orders(scenario: Scenario, given: Any) -> list[str]:
    scenario.stub(GetCustomer, lambda query: given.customer.__class__(
        customer_id=query.customer_id, name="-", email="-@-", address=given.address
    ))  # fmt: skip
    scenario.stub(GetPrices, FrozenMap({"tea": Money("12.50", "EUR")}))
    return [
        await scenario.call(PlaceOrder(customer_id=customer_id, lines=(Line(product_id="tea", quantity=quantity),)))
        for customer_id, quantity in [("ann", 4), ("ghost", 1), ("ann", 2)]
    ]


async def test_orders_are_joined_with_their_customer_and_an_unknown_one_is_named_so(given: Any) -> None:
    async with Scenario(orders) as scenario:
        await with_orders(scenario, given)
        asked: list[GetCustomerNames] = []

        def names(query: GetCustomerNames) -> FrozenMap[str, str]:
            asked.append(query)
            return FrozenMap({"ann": "Ann Lee"})

        scenario.stub(GetCustomerNames, names)
        listed = await scenario.call(ListOrders())
        assert [(order.number, order.customer_name, str(order.total)) for order in listed] == [
            ("ORD-0003", "Ann Lee", "25.00 EUR"),
            ("ORD-0002", "unknown customer", "12.50 EUR"),
            ("ORD-0001", "Ann Lee", "50.00 EUR"),
        ]
        assert asked == [GetCustomerNames(customer_ids=("ann", "ghost"))]  # one question, however many orders


async def test_the_list_is_limited_to_the_newest(given: Any) -> None:
    async with Scenario(orders) as scenario:
        await with_orders(scenario, given)
        scenario.stub(GetCustomerNames, FrozenMap())
        assert [order.number for order in await scenario.call(ListOrders(limit=2))] == ["ORD-0003", "ORD-0002"]
        assert len(await scenario.call(ListOrders(limit=0))) == 1


async def test_orders_are_chosen_by_customer_and_status(given: Any) -> None:
    async with Scenario(orders) as scenario:
        first, *_ = await with_orders(scenario, given)
        scenario.stub(GetCustomerNames, FrozenMap())
        await scenario.call(CancelOrder(order_id=first))
        of_ann = await scenario.call(ListOrders(customer_id="ann"))
        cancelled = await scenario.call(ListOrders(customer_id="ann", status=OrderStatus.CANCELLED))
        assert [order.number for order in of_ann] == ["ORD-0003", "ORD-0001"]
        assert [order.number for order in cancelled] == ["ORD-0001"]
