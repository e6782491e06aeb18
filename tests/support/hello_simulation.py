"""The hello of the README under simulation."""

from __future__ import annotations

from sqlalchemy import func, select

from hello import OrderPlaced, PlaceOrder, loyalty, orders, placed, points, shop
from insula.simulation import Simulation, Snapshot, eventually, sometimes


@eventually
def points_match_orders(state: Snapshot) -> None:
    spent = state.scalar(orders, select(func.sum(placed.c.euros)))
    assert state.scalar(loyalty, select(func.sum(points.c.earned))) == spent


@sometimes
def an_order_is_placed(state: Snapshot) -> bool:
    return len(state.events(OrderPlaced)) == 2


HELLO = Simulation(
    shop,
    workload=[
        PlaceOrder(customer="ann", euros=40),
        PlaceOrder(customer="bob", euros=3),
        PlaceOrder(customer="ann", euros=7),
    ],
    invariants=[points_match_orders, an_order_is_placed],
)
