"""A disk that takes no more and a file that somebody else holds, as a client over HTTP sees them."""

import json
import resource
import sqlite3
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from support.processes import ROOT, SystemProcess, pause, running

Answer = tuple[int, dict[str, str], Any]


def ask(system: SystemProcess, method: str, path: str, body: Any = None, key: str = "") -> Answer:
    """Status, headers and JSON of one answer."""
    headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
    with closing(HTTPConnection("127.0.0.1", system.port, timeout=30)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(text or b"null")


def order(system: SystemProcess, number: int) -> Answer:
    return ask(system, "POST", "/orders", {"customer": "ann", "euros": 10}, key=f"order-{number}")


def points_reach(system: SystemProcess, expected: int) -> int:
    points = -1
    for _ in range(200):
        points = ask(system, "GET", "/points/ann")[2]
        if points == expected:
            break
        pause(0.05)
    return points


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a running process's files by prlimit")
def test_a_disk_that_takes_no_more_refuses_and_recovers_without_loss(tmp_path: Path) -> None:
    with running(tmp_path / "data", target="hello:shop", cwd=ROOT / "examples") as system:
        assert [order(system, number)[0] for number in range(5)] == [201] * 5
        assert points_reach(system, 50) == 50
        no_more = (tmp_path / "data" / "orders.db-wal").stat().st_size
        unlimited = resource.prlimit(system.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(system.process.pid, resource.RLIMIT_FSIZE, (no_more, unlimited[1]))
        refused = [order(system, number) for number in range(5, 10)]
        assert {status for status, _, _ in refused} <= {503, 507}
        assert all("Traceback" not in str(problem) and problem["detail"] for _, _, problem in refused)
        assert system.process.poll() is None
        resource.prlimit(system.process.pid, resource.RLIMIT_FSIZE, unlimited)
        assert [order(system, number)[0] for number in range(10)] == [201] * 10
        assert points_reach(system, 100) == 100


def test_a_file_held_by_another_program_is_503_with_retry_after(tmp_path: Path) -> None:
    (tmp_path / "insula.toml").write_text("[store]\nbusy_timeout_seconds = 0.2\n")
    (tmp_path / "hello.py").write_text((ROOT / "examples" / "hello.py").read_text())
    with running(tmp_path / "data", target="hello:shop", cwd=tmp_path) as system:
        with closing(sqlite3.connect(tmp_path / "data" / "orders.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            status, headers, problem = order(system, 1)
            assert (status, "retry-after" in headers) == (503, True)
            assert "Try again" in problem["detail"]
            assert "orders: another program holds a lock" in system.output.read_text()
            other.execute("rollback")
        assert order(system, 1)[0] == 201
        assert points_reach(system, 10) == 10
