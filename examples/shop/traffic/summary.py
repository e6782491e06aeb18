"""What the visit amounts to: figures for people and for programs."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from shop.orders.contract import OrderStatus
from shop.traffic.journey import Visit

SHOWN_FAILURES = 10


def figures(visit: Visit) -> dict[str, Any]:
    """All figures of a visit, ready for JSON.

    `placed` counts accepted orders; `not_ended` those of them that are neither confirmed nor cancelled; `refused`
    the others by HTTP status, "none" when there was no answer at all. Latencies are in milliseconds, from the first
    attempt to the answer.
    """
    placed = [fate for fate in visit.fates if fate.order_id]
    refused = Counter(str(fate.answer.status) if fate.answer else "none" for fate in visit.fates if not fate.order_id)
    latencies = sorted(1000 * fate.answer.seconds for fate in placed if fate.answer)
    return {
        "orders": len(visit.fates),
        "placed": len(placed),
        "confirmed": sum(fate.status == OrderStatus.CONFIRMED for fate in placed),
        "cancelled": dict(Counter(fate.reason for fate in placed if fate.status == OrderStatus.CANCELLED)),
        "not_ended": sum(not fate.ended for fate in placed),
        "refused": dict(refused),
        "retries": visit.retries,
        "seconds": round(visit.seconds, 3),
        "orders_per_second": round(len(placed) / visit.seconds, 1) if visit.seconds else 0.0,
        "latency_p50_ms": percentile(latencies, 50),
        "latency_p99_ms": percentile(latencies, 99),
        "troubles": visit.troubles,
        "failures": [f"{fate.purchase.reference}: {fate.failure}" for fate in visit.fates if fate.failure],
    }


def succeeded(numbers: dict[str, Any]) -> bool:
    """Whether everything was seeded, and every order was accepted and has ended."""
    return not numbers["troubles"] and numbers["placed"] == numbers["orders"] and not numbers["not_ended"]


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile of numbers in ascending order; None of nothing."""
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)], 2)


def table(numbers: dict[str, Any]) -> Table:
    """The figures as a table, the troubles below them."""
    shown = Table(title="traffic", show_header=False)
    shown.add_row("orders placed", f"{numbers['placed']} of {numbers['orders']}")
    shown.add_row("confirmed", str(numbers["confirmed"]))
    for reason, count in sorted(numbers["cancelled"].items()):
        shown.add_row(f"cancelled: {reason}", str(count))
    shown.add_row("not ended", str(numbers["not_ended"]))
    for status, count in sorted(numbers["refused"].items()):
        shown.add_row(f"refused with {status}", str(count))
    shown.add_row("retries", str(numbers["retries"]))
    shown.add_row("orders/s", f"{numbers['orders_per_second']} ({numbers['seconds']} s)")
    shown.add_row("latency p50, p99", f"{numbers['latency_p50_ms']} ms, {numbers['latency_p99_ms']} ms")
    for trouble in [*numbers["troubles"], *numbers["failures"]][:SHOWN_FAILURES]:
        shown.add_row("trouble", trouble)
    return shown
