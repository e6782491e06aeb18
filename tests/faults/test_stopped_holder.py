"""A process that moves messages stands still for longer than its lease, and wakes up late.

KILLS sets how often (default 1, `make hunt` 10).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial

from faults.test_services import Customers, pid_of
from support.processes import northwind, pause
from support.topologies import RunningTopology, shop_topologies, up

STOPS = int(os.environ.get("KILLS", "1"))


def test_a_holder_that_was_stopped_wakes_up_late_and_does_no_harm() -> None:
    with up("three", shop_topologies()) as shop, Customers(shop, "office", *northwind()) as customers:
        pause(1.0)
        for _ in range(STOPS):
            customers.come()
            holder = holder_of(shop)
            pid = pid_of(shop, holder)
            os.kill(pid, signal.SIGSTOP)
            try:
                wait_until(partial(holder_of, shop, leaving_out=holder), seconds=30)
                pause(1.0)
            finally:
                os.kill(pid, signal.SIGCONT)
            pause(2.0)


def holder_of(shop: RunningTopology, leaving_out: str = "") -> str:
    """Which of the two processes of sales moves messages now."""
    for name in ("sales-1", "sales-2"):
        said = [line for line in shop.said().splitlines() if line.startswith(name)]
        moves = [line for line in said if "moves messages now" in line or "has lost its lease" in line]
        if name != leaving_out and moves and "now" in moves[-1]:
            return name
    return ""


def wait_until(holds: Callable[[], object], *, seconds: float) -> None:
    """Until something holds."""
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        pause(0.05)
    raise AssertionError(f"it never held within {seconds:g} s")
