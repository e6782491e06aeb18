"""The shop as many services: each of them, the broker and the database are killed or cut off under traffic.

KILLS sets how often each kind is killed (default 1, `make hunt` 10), SEED when.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Self

from insula.kernel.randomness import SeededRandomness
from insula.runtime.local.nats import LocalNats
from support.processes import northwind, pause, start_tool, tool
from support.proxy import wire
from support.topologies import RunningTopology, json_of, shop_topologies, up

KILLS = int(os.environ.get("KILLS", "1"))
SEED = os.environ.get("SEED", "7")
SERVICES = ("catalog", "customers", "orders", "inventory", "billing", "shipping", "notifications")


class Customers:
    """They place orders until the end of a block, and again when all of theirs are placed.

    Parameters: `entry`, the service that takes orders; `orders`, what the first of them order.
    """

    def __init__(self, shop: RunningTopology, entry: str, *orders: str) -> None:
        self._shop = shop
        self._entry = entry
        self._rounds = 0
        self._placing = self._begin(*orders)

    def _begin(self, *orders: str) -> subprocess.Popen[str]:
        where = ("--url", self._shop.url(self._entry), "--json", "--patience", "120")
        return start_tool("-m", "shop.traffic", *where, *orders)

    def come(self) -> None:
        """From here on some are there."""
        if self._placing.poll() is not None:
            self._end()
            self._rounds += 1
            self._placing = self._begin("--orders", "300", "--seed", str(self._rounds))

    def _end(self) -> None:
        output, errors = self._placing.communicate(timeout=300)
        assert self._placing.returncode == 0, errors[-2000:] + output[-3000:] + self._shop.said()[-4000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """All orders must have ended, and the books balance."""
        try:
            if kind is None:
                self._end()
        finally:
            self._placing.kill()
        if kind is None:
            audit = tool("-m", "shop.audit", "--directory", str(self._shop.data), "--patience", "30", "--json")
            assert audit.returncode == 0, audit.stdout[-4000:] + audit.stderr[-2000:]
            status = json_of(self._shop, "status")
            assert [each for each in status["modules"] if each["parked"] or each["dead"]] == []


def pid_of(shop: RunningTopology, name: str) -> int:
    """The process of a service, or of a server."""
    if name in ("nats", "postgres"):
        found = subprocess.run(
            ["pgrep", "-f", str(shop.data / "servers" / name)], capture_output=True, text=True, check=True
        )
        return min(int(each) for each in found.stdout.split() if _is_server(int(each)))
    presence = json.loads((shop.data / "processes" / name / "process.json").read_bytes())
    return int(presence["pid"])


def _is_server(pid: int) -> bool:
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    return name.startswith(("postgres", "nats-server"))


def times_ready(shop: RunningTopology, name: str) -> int:
    """How often it was said to be ready."""
    return len(re.findall(rf"^{name} +│ is ready (?:at|again)", shop.said(), re.MULTILINE))


def kill(shop: RunningTopology, name: str) -> None:
    """kill -9, and wait until it was started again."""
    before = times_ready(shop, name)
    os.kill(pid_of(shop, name), signal.SIGKILL)
    for _ in range(1200):
        if times_ready(shop, name) > before:
            return
        pause(0.05)
    raise AssertionError(f"{name} was not started again:\n{shop.said()[-4000:]}")


def test_orders_survive_kills_of_services_of_the_broker_and_of_the_database() -> None:
    chance = SeededRandomness(SEED)
    targets = [name for number in range(KILLS) for name in (SERVICES[number % len(SERVICES)], "nats", "postgres")]
    with up("services", shop_topologies()) as shop, Customers(shop, "orders", *northwind()) as customers:
        pause(1.0)
        for name in targets:
            customers.come()
            kill(shop, name)
            pause(0.3 * chance.random())


def test_a_partition_between_services_and_broker_delays_orders_and_loses_none(tmp_path: Path) -> None:
    with LocalNats(tmp_path / "nats") as broker, wire(broker.port) as line:
        text = shop_topologies().replace('transport = "local"', f'transport = "nats://127.0.0.1:{line.port}"')
        with up("services", text) as shop, Customers(shop, "orders", "--orders", "300") as customers:
            for _ in range(min(KILLS, 3)):
                customers.come()
                pause(1.0)
                line.hold()
                pause(3.0)
                line.mend()
