"""PostgreSQL is killed again and again while the shop takes orders: nothing is lost, nothing happens twice.

SERVER_KILLS sets how often (default 3; `make hunt` 10), SEED when, OUTAGE_SECONDS how long it stays away the last time
(default 0; `make hunt` 100).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.request import urlopen

import pytest

from insula.kernel.randomness import SeededRandomness
from insula.runtime.local.postgres import LocalPostgres
from shop.system import shop as shop_system
from support.postgres import provisioned, server_folder
from support.processes import SystemProcess, pause, running, start_tool, tool

KILLS = int(os.environ.get("SERVER_KILLS", "3"))
SEED = os.environ.get("SEED", "7")
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "0"))
ORDERS_TO_A_KILL = 100


@pytest.fixture
def server() -> Iterator[LocalPostgres]:
    """A server of the test's own, for others would not like what becomes of it."""
    with server_folder() as folder, LocalPostgres(folder / "server", durable=False) as started:
        yield started


def test_orders_survive_kills_of_the_server(tmp_path: Path, server: LocalPostgres) -> None:
    chance = SeededRandomness(SEED)
    environment = {"INSULA_STORE_ADDRESS": provisioned(server.address, shop_system)}
    orders = ["--orders", str((KILLS + 1) * ORDERS_TO_A_KILL)]
    with running(tmp_path / "data", environment=environment) as shop:
        traffic = start_tool(
            "-m", "shop.traffic", "--url", shop.url, *orders, "--json", "--patience", str(120 + OUTAGE_SECONDS)
        )
        kills = 0
        try:
            while traffic.poll() is None and kills < KILLS:
                until_busy(shop, traffic)
                pause(0.3 * chance.random())
                server.kill()
                kills += 1
                pause(OUTAGE_SECONDS if kills == KILLS and OUTAGE_SECONDS else 0.5 * chance.random())
                server.start()
            output, errors = traffic.communicate(timeout=240)
        finally:
            traffic.kill()
        assert traffic.returncode == 0, errors[-2000:] + output[-2000:]
        assert kills == KILLS, json.loads(output)
        assert shop.process.poll() is None
        # What failed while the server was away is tried again with growing delay, also after the last order has ended.
        assert audited(tmp_path / "data", environment, "--patience", "60") == ""
        assert shop.stop() == 0, shop.output.read_text()[-3000:]
    assert audited(tmp_path / "data", environment) == ""


def audited(directory: Path, environment: dict[str, str], *options: str) -> str:
    """What the audit has to complain of."""
    done = tool("-m", "shop.audit", "--directory", str(directory), "--json", *options, environment=environment)
    if done.returncode > 1:
        return done.stdout + done.stderr
    return "\n".join(str(each) for each in json.loads(done.stdout)["invariants"] if not each["holds"])


def until_busy(shop: SystemProcess, traffic: Popen[str]) -> None:
    """Until orders are being listed again, or the traffic has ended or stands still for 20 seconds."""
    before = listed(shop)
    for _ in range(400):
        now = listed(shop)
        if (now is not None and now != before) or traffic.poll() is not None:
            return
        before = now if before is None else before
        pause(0.05)


def listed(shop: SystemProcess) -> Any:
    """The newest orders, None while they cannot be read."""
    try:
        with urlopen(f"{shop.url}/orders?limit=1", timeout=2) as answer:
            return answer.read()
    except OSError:
        return None
