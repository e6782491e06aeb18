"""Inventory alone, hearing of orders in every order the log permits."""

from itertools import permutations
from typing import Any

import pytest

from insula.testing import Scenario
from shop.inventory.contract import (
    GetStock,
    InvalidReceipt,
    ReceiptDiffers,
    ReceiveStock,
    StockLevel,
    StockNotFound,
    StockRefused,
    StockReleased,
    StockReserved,
)
from shop.inventory.module import inventory


async def receive(scenario: Scenario, product_id: str = "tea", quantity: int = 10) -> None:
    await scenario.call(ReceiveStock(receipt_id=f"receipt-{product_id}", product_id=product_id, quantity=quantity))


async def tea(scenario: Scenario) -> tuple[int, int, int]:
    level = await scenario.call(GetStock(product_id="tea"))
    assert level.received == level.available + level.reserved + level.shipped
    return level.available, level.reserved, level.shipped


async def test_a_receipt_counts_once() -> None:
    async with Scenario(inventory) as scenario:
        await receive(scenario)
        await receive(scenario)
        await scenario.call(ReceiveStock(receipt_id="receipt-2", product_id="tea", quantity=5))
        assert await scenario.call(GetStock(product_id="tea")) == StockLevel(
            product_id="tea", received=15, available=15, reserved=0, shipped=0
        )


async def test_a_receipt_does_not_change() -> None:
    async with Scenario(inventory) as scenario:
        await receive(scenario)
        with pytest.raises(ReceiptDiffers):
            await receive(scenario, quantity=11)
        assert await tea(scenario) == (10, 0, 0)


@pytest.mark.parametrize(
    ("receipt_id", "product_id", "quantity"), [("", "tea", 1), ("r", "", 1), ("r", "tea", -1), ("r", "tea", 10**9)]
)
async def test_a_receipt_that_cannot_be_is_refused(receipt_id: str, product_id: str, quantity: int) -> None:
    async with Scenario(inventory) as scenario:
        with pytest.raises(InvalidReceipt):
            await scenario.call(ReceiveStock(receipt_id=receipt_id, product_id=product_id, quantity=quantity))


async def test_stock_of_a_product_never_received_is_a_typed_no() -> None:
    async with Scenario(inventory) as scenario:
        with pytest.raises(StockNotFound) as no:
            await scenario.call(GetStock(product_id="tea"))
        assert no.value.status == 404


async def test_every_line_is_reserved(given: Any) -> None:
    async with Scenario(inventory) as scenario:
        await receive(scenario)
        await receive(scenario, "figs", 1)
        await scenario.deliver(given.placed(given.line("tea", 4), given.line("figs", 1)), source="orders")
        assert scenario.published == [StockReserved(order_id=given.order_id)]
        assert await tea(scenario) == (6, 4, 0)


async def test_one_short_line_refuses_all_and_is_named(given: Any) -> None:
    async with Scenario(inventory) as scenario:
        await receive(scenario)
        await receive(scenario, "figs", 1)
        await scenario.deliver(given.placed(given.line("tea", 4), given.line("figs", 2)), source="orders")
        assert scenario.published == [
            StockRefused(
                order_id=given.order_id,
                product_id="figs",
                wanted=2,
                available=1,
                reason="product figs: 2 wanted, 1 left",
            )
        ]
        assert await tea(scenario) == (10, 0, 0)


async def test_what_comes_twice_is_reserved_once(given: Any) -> None:
    async with Scenario(inventory) as scenario:
        await receive(scenario)
        await scenario.deliver(given.placed(), source="orders")
        await scenario.deliver(given.placed(), source="orders")
        assert await tea(scenario) == (6, 4, 0)
        assert len(scenario.published) == 1


async def test_a_confirmed_order_takes_its_stock_out(given: Any) -> None:
    async with Scenario(inventory) as scenario:
        await receive(scenario)
        await scenario.deliver(given.placed(), source="orders")
        await scenario.deliver(given.confirmed(), source="orders")
        assert await tea(scenario) == (6, 0, 4)


async def test_a_cancelled_order_gives_its_stock_back(given: Any) -> None:
    async with Scenario(inventory) as scenario:
        await receive(scenario)
        await scenario.deliver(given.placed(), source="orders")
        await scenario.deliver(given.cancelled(), source="orders")
        assert await tea(scenario) == (10, 0, 0)
        assert scenario.published == [StockReserved(order_id=given.order_id), StockReleased(order_id=given.order_id)]


async def test_a_refused_order_has_nothing_to_give_back(given: Any) -> None:
    async with Scenario(inventory) as scenario:
        await receive(scenario, quantity=3)
        await scenario.deliver(given.placed(), source="orders")
        await scenario.deliver(given.cancelled(), source="orders")
        assert await tea(scenario) == (3, 0, 0)
        assert [type(event) for event in scenario.published] == [StockRefused]


@pytest.mark.parametrize("turn", list(permutations(("placed", "cancelled", "placed", "cancelled"))))
async def test_placing_and_cancelling_in_any_order_leaves_nothing_reserved(given: Any, turn: tuple[str, ...]) -> None:
    events = {"placed": given.placed(), "cancelled": given.cancelled()}
    async with Scenario(inventory) as scenario:
        await receive(scenario)
        for name in turn:
            await scenario.deliver(events[name], source="orders")
        assert await tea(scenario) == (10, 0, 0)


async def test_a_confirmed_order_without_stock_is_a_dead_letter(given: Any) -> None:
    async with Scenario(inventory) as scenario:
        await receive(scenario)
        await scenario.deliver(given.confirmed(), source="orders")
        (letter,) = await scenario.parked(inventory)
        assert "NothingReserved" in letter.error
        assert await tea(scenario) == (10, 0, 0)
