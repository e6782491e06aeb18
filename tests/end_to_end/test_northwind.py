"""All 830 Northwind orders over HTTP, 32 in flight."""

from __future__ import annotations

import json
from pathlib import Path

from support.processes import northwind, running, tool


def test_every_order_ends_and_the_books_balance(tmp_path: Path) -> None:
    with running(tmp_path / "data") as shop:
        traffic = tool("-m", "shop.traffic", "--url", shop.url, *northwind(), "--in-flight", "32", "--json")
        assert traffic.returncode == 0, traffic.stderr[-2000:] + traffic.stdout[-2000:]
        summary = json.loads(traffic.stdout)
        assert shop.stop() == 0
    assert summary["placed"] == 830, summary
    assert summary["confirmed"] >= 200, summary
    audit = tool("-m", "shop.audit", "--directory", str(tmp_path / "data"), "--json")
    assert audit.returncode == 0, audit.stdout + audit.stderr
