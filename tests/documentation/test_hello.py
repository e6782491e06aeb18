"""The hello of the README, and its first test, as they stand there."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from hello import GetPoints, OrderPlaced, PlaceOrder, TooSmall, loyalty, orders, placed, points, shop
from insula.simulation import Snapshot, eventually, simulate
from insula.testing import Scenario


# fmt: off
async def test_an_order_earns_points_once() -> None:
    async with Scenario(shop) as scenario:
        await scenario.call(PlaceOrder(customer="ann", euros=40))
        assert scenario.published == [OrderPlaced(customer="ann", euros=40)]
        await scenario.settle(duplicate=True)              # everything delivered twice
        assert await scenario.call(GetPoints(customer="ann")) == 40

@eventually
def points_match_orders(state: Snapshot) -> None:
    spent = state.scalar(orders, select(func.sum(placed.c.euros)))
    assert state.scalar(loyalty, select(func.sum(points.c.earned))) == spent

def test_no_crash_loses_a_point() -> None:
    simulate(shop, workload=[PlaceOrder(customer="ann", euros=40)], invariants=[points_match_orders])
# fmt: on


async def test_an_order_that_is_too_small_is_refused_by_its_own_type() -> None:
    async with Scenario(shop) as scenario:
        with pytest.raises(TooSmall) as refusal:
            await scenario.call(PlaceOrder(customer="ann", euros=4))
        assert refusal.value.minimum == 5
        assert scenario.published == []
