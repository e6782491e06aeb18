"""The shop's process is killed again and again while it takes orders: nothing is lost, nothing happens twice."""

from __future__ import annotations

import json
from pathlib import Path

from insula.kernel.randomness import SeededRandomness
from support.processes import northwind, pause, running, start_tool, tool

KILLS = 10


def test_orders_survive_ten_kills_of_the_process(tmp_path: Path) -> None:
    chance = SeededRandomness(7)
    with running(tmp_path / "data") as shop:
        traffic = start_tool("-m", "shop.traffic", "--url", shop.url, *northwind(), "--json", "--patience", "120")
        kills = 0
        try:
            while traffic.poll() is None and kills < KILLS:
                pause(0.2 + 0.4 * chance.random())
                if traffic.poll() is None:
                    shop.kill()
                    kills += 1
                    shop.start()
            output, errors = traffic.communicate(timeout=240)
        finally:
            traffic.kill()
        assert traffic.returncode == 0, errors[-2000:] + output[-2000:]
        summary = json.loads(output)
        assert kills == KILLS, summary
        assert shop.stop() == 0
    audit = tool("-m", "shop.audit", "--directory", str(tmp_path / "data"), "--json")
    assert audit.returncode == 0, audit.stdout + audit.stderr
