"""Every run begins with all that the setup has stored, whoever looked at it meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select

from hello import PlaceOrder, orders, placed, shop
from insula.simulation import Plan, Simulation, Snapshot, always
from insula.simulation.simulation import Stage


@always
def an_order_is_there(state: Snapshot) -> bool:
    return state.rows(orders, select(func.sum(placed.c.euros))) != []


def test_an_invariant_may_read_a_module_that_has_not_started_yet(open_stage: Callable[[Simulation], Stage]) -> None:
    stage = open_stage(Simulation(shop, [PlaceOrder(customer="ann", euros=7)], [an_order_is_there]))
    slow_start = {("crash-anywhere", "orders, life 1"): [1, 0.5]}
    assert stage.run(1, Plan(1, slow_start)).violation is None
