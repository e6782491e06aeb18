"""The shop's process is killed again and again while it takes orders: nothing is lost, nothing happens twice.

KILLS sets how often (default 10, over the 830 Northwind orders; `make hunt` 60, over as many more made-up ones),
SEED when.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from subprocess import Popen

from insula.kernel.randomness import SeededRandomness
from support.processes import SystemProcess, northwind, pause, running, start_tool, tool

USUAL = 10
KILLS = int(os.environ.get("KILLS", USUAL))
SEED = os.environ.get("SEED", "7")
ORDERS_TO_A_KILL = 83
"""A kill comes after 5 to 35 orders more, so that the orders outlast the kills on a machine of any speed."""


def test_orders_survive_kills_of_the_process(tmp_path: Path) -> None:
    chance = SeededRandomness(SEED)
    orders = northwind() if KILLS == USUAL else ["--orders", str(KILLS * ORDERS_TO_A_KILL)]
    with running(tmp_path / "data") as shop:
        traffic = start_tool("-m", "shop.traffic", "--url", shop.url, *orders, "--json", "--patience", "120")
        kills = 0
        try:
            while traffic.poll() is None and kills < KILLS:
                wait_for_orders(shop, traffic, more=5 + int(30 * chance.random()))
                pause(0.05 * chance.random())
                if traffic.poll() is None:
                    shop.kill()
                    kills += 1
                    shop.start()
            output, errors = traffic.communicate(timeout=240)
        finally:
            traffic.kill()
        assert traffic.returncode == 0, errors[-2000:] + output[-2000:]
        assert kills == KILLS, json.loads(output)
        assert shop.stop() == 0
    audit = tool("-m", "shop.audit", "--directory", str(tmp_path / "data"), "--json")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def wait_for_orders(shop: SystemProcess, traffic: Popen[str], *, more: int) -> None:
    """Until so many orders more are placed, or the traffic has ended or stands still for 20 seconds."""
    with closing(sqlite3.connect(f"file:{shop.directory / 'orders.db'}?mode=ro", uri=True)) as orders:
        before = placed(orders)
        for _ in range(2000):
            if placed(orders) >= before + more or traffic.poll() is not None:
                return
            pause(0.01)


def placed(orders: sqlite3.Connection) -> int:
    return int(orders.execute("select count(*) from placed").fetchone()[0])
