"""Of two processes with the same modules one stands still for longer than its leases and wakes up late, or is killed.

KILLS sets how often (default 1, `make hunt` 10).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from faults.test_services import Customers, kill, pid_of
from support.processes import pause
from support.topologies import RunningTopology, json_of, shop_topologies, up

_LOOK_SECONDS = 0.5
"""To look costs a process."""

STOPS = int(os.environ.get("KILLS", "1"))


def test_of_two_replicas_one_may_be_killed_or_stand_still_and_wake_up_late() -> None:
    with up("three", shop_topologies()) as shop, Customers(shop, "office", "--orders", "300") as customers:
        wait_until(lambda: shares_of(shop) == [2, 2], seconds=30)
        for number in range(STOPS):
            customers.come()
            kill(shop, f"sales-{number % 2 + 1}")
            wait_until(lambda: shares_of(shop) == [2, 2], seconds=30)
            customers.come()
            stand_still(shop, holder_of(shop))
        customers.come()
        wait_until(lambda: shares_of(shop) == [2, 2] and min(handled_by(shop)) > 0, seconds=30)


def stand_still(shop: RunningTopology, holder: str) -> None:
    """For so long that the other one takes over what it held, and a moment more."""
    pid = pid_of(shop, holder)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(partial(holder_of, shop, leaving_out=holder), seconds=30)
        pause(1.0)
    finally:
        os.kill(pid, signal.SIGCONT)
    pause(2.0)


def of_sales(shop: RunningTopology, what: str) -> list[Any]:
    """What the two processes of sales say of orders."""
    told = {each["process"]: each[what] for each in json_of(shop, "status")["modules"] if each["module"] == "orders"}
    return [told[name] for name in sorted(told) if name.startswith("sales")]


def shares_of(shop: RunningTopology) -> list[int]:
    """How many shares each of the two has."""
    return [len(shares) for shares in of_sales(shop, "shares")]


def handled_by(shop: RunningTopology) -> list[int]:
    """How many messages each of them has handled."""
    return of_sales(shop, "handled")


def holder_of(shop: RunningTopology, leaving_out: str = "") -> str:
    """Which of the two processes of sales moves messages now."""
    for name in ("sales-1", "sales-2"):
        said = [line for line in shop.said().splitlines() if line.startswith(name) and "(background)" in line]
        moves = [line for line in said if "moves messages now" in line or "has lost its lease" in line]
        if name != leaving_out and moves and "now" in moves[-1]:
            return name
    return ""


def wait_until(holds: Callable[[], object], *, seconds: float) -> None:
    """Until something holds."""
    for _ in range(int(seconds / _LOOK_SECONDS)):
        if holds():
            return
        pause(_LOOK_SECONDS)
    raise AssertionError(f"it never held within {seconds:g} s")
