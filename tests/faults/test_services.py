"""The shop as many services: each of them, the broker and the database are killed or cut off under traffic.

KILLS sets how often each kind is killed (default 2, `make hunt` 10), SEED when.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from insula.kernel.randomness import SeededRandomness
from insula.runtime.local.nats import LocalNats
from support.processes import northwind, pause, start_tool, tool
from support.proxy import wire
from support.topologies import RunningTopology, json_of, shop_topologies, up

KILLS = int(os.environ.get("KILLS", "2"))
SEED = os.environ.get("SEED", "7")
SERVICES = ("catalog", "customers", "orders", "inventory", "billing", "shipping", "notifications")


@contextmanager
def traffic(shop: RunningTopology, entry: str, *orders: str) -> Iterator[subprocess.Popen[str]]:
    """Orders that are placed meanwhile; all of them must end, and the books balance afterwards."""
    placing = start_tool("-m", "shop.traffic", "--url", shop.url(entry), *orders, "--json", "--patience", "120")
    try:
        yield placing
        output, errors = placing.communicate(timeout=300)
    finally:
        placing.kill()
    assert placing.returncode == 0, errors[-2000:] + output[-3000:] + shop.said()[-4000:]
    audit = tool("-m", "shop.audit", "--directory", str(shop.data), "--patience", "30", "--json")
    assert audit.returncode == 0, audit.stdout[-4000:] + audit.stderr[-2000:]
    status = json_of(shop, "status")
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


@pytest.mark.parametrize("killed", ["services", "nats", "postgres"])
def test_orders_survive_kills(killed: str) -> None:
    chance = SeededRandomness(f"{SEED} {killed}")
    with up("services", shop_topologies()) as shop, traffic(shop, "orders", *northwind()):
        pause(1.0)
        for number in range(KILLS):
            kill(shop, SERVICES[number % len(SERVICES)] if killed == "services" else killed)
            pause(0.3 * chance.random())


def test_a_partition_between_services_and_broker_delays_orders_and_loses_none(tmp_path: Path) -> None:
    with LocalNats(tmp_path / "nats") as broker, wire(broker.port) as line:
        text = shop_topologies().replace('transport = "local"', f'transport = "nats://127.0.0.1:{line.port}"')
        with up("services", text) as shop, traffic(shop, "orders", *northwind()):
            for _ in range(3):
                pause(1.0)
                line.hold()
                pause(3.0)
                line.mend()
