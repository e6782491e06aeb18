"""Every run begins with all that the setup has stored, whoever looked at it meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select

from hello import PlaceOrder, loyalty, orders, placed, points, shop
from insula.simulation import Plan, Simulation, Snapshot, always, eventually
from insula.simulation.simulation import Stage
from support.hello_simulation import HELLO


@always
def an_order_is_there(state: Snapshot) -> bool:
    return state.rows(orders, select(func.sum(placed.c.euros))) != []


def test_an_invariant_may_read_a_module_that_has_not_started_yet(open_stage: Callable[[Simulation], Stage]) -> None:
    stage = open_stage(Simulation(shop, [PlaceOrder(customer="ann", euros=7)], [an_order_is_there]))
    slow_start = {("crash-anywhere", "orders, life 1"): [1, 0.5]}
    assert stage.run(1, Plan(1, slow_start)).violation is None


def test_a_check_that_cannot_be_made_is_a_violation(open_stage: Callable[[Simulation], Stage]) -> None:
    @eventually
    def there_is_such_a_table(state: Snapshot) -> None:
        state.scalar(orders, "select 1 from no_such_table")

    outcome = open_stage(Simulation(shop, HELLO.workload, [there_is_such_a_table])).run(1, Plan(1))
    assert outcome.violation is not None
    assert "no such table" in outcome.violation.detail


def test_a_setup_may_do_what_the_workload_does_and_break_what_must_hold_in_the_end(
    open_stage: Callable[[Simulation], Stage],
) -> None:
    @eventually
    def nobody_has_more_than_forty_points(state: Snapshot) -> None:
        assert (state.scalar(loyalty, select(func.sum(points.c.earned))) or 0) != 40

    ann = [PlaceOrder(customer="ann", euros=40)]
    outcome = open_stage(Simulation(shop, ann, [nobody_has_more_than_forty_points], setup=ann)).run(1, Plan(1))
    assert outcome.violation is None
