"""Runs to be told: one put together by hand, with everything in it that is hard to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from insula.simulation import Outcome, Plan
from insula.simulation.machine.ground import Happening, Violation

CRASH = ("crash", "orders: after orders: commit of orders.place_order[1]")
FULL = ("disk-full", "stock: commit of stock: cursor on the log of orders")
NEVER = ("loss", "orders → stock: OrderPlaced[9]")
MEAN = '<script>alert("1")</script>'


def told(story: Sequence[Happening], faults: dict[tuple[str, str], object], violation: Violation | None) -> Outcome:
    """A run with this story."""
    return Outcome(
        seed=7,
        plan=Plan(7, faults),
        violation=violation,
        digest="00ff",
        story=story,
        operations=["1"],
        reached=Counter(),
        seen=frozenset(),
        offered={},
        services=["orders", "idle", "stock"],
    )


def a_mean_run() -> Outcome:
    """An order with mean data: its service crashes, another's disk is full, and stock ends below nothing."""
    violation = Violation("stock is never below 0", f"{MEAN} has\n-1 \x1b[31m", 9.0)
    story = [
        Happening(
            1.0, "client", "call", "client → orders: PlaceOrder[1]", services=("orders",),
            detail=f"PlaceOrder(name='{MEAN}')",
        ),
        Happening(1.1, "orders", "commit", "orders.place_order[1] → OrderPlaced[1]", messages=("a",)),
        Happening(
            1.1, "orders", "crash", "after orders: commit of orders.place_order[1]; down for 3.2 s",
            choice=CRASH, seconds=3.2,
        ),
        Happening(1.1, "client", "failed", "PlaceOrder[1]: ConnectionLost", services=("orders",)),
        Happening(1.2, "stock", "abort", "stock: commit of stock: cursor on the log of orders", choice=FULL),
        Happening(1.4, "stock", "abort", "stock: commit of stock: cursor on the log of orders #2", choice=FULL),
        Happening(1.5, "stock", "commit", "stock: cursor on the log of orders"),
        Happening(4.3, "orders", "start", "life 2"),
        Happening(4.4, "stock", "deliver", "orders → stock: OrderPlaced[1]", messages=("a",)),
        Happening(4.4, "stock", "commit", "stock.reserve[1]"),
        Happening(4.5, "client", "rejected", f"PlaceOrder[1]: Unknown: {MEAN}", services=("orders",)),
        Happening(9.0, "outside", "violation", str(violation)),
    ]  # fmt: skip
    return told(story, {CRASH: 3.2, FULL: 0.5, NEVER: True}, violation)
