"""`insula dev` with a real process below it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insula.cli.developing import Child
from support.processes import pause

SYSTEM = """
from insula import Module, System
system = System("small", Module("one"))
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts `insula dev` on a system with that text, its output to be read."""
    processes = []

    def start(text: str) -> subprocess.Popen[str]:
        (tmp_path / "small.py").write_text(text)
        processes.append(developing(tmp_path))
        return processes[-1]

    yield start
    for process in processes:
        process.terminate()
        process.communicate(timeout=30)


def developing(folder: Path) -> subprocess.Popen[str]:
    """`insula dev` in a folder."""
    command = [sys.executable, "-u", "-m", "insula.cli", "dev", "small:system", "--port", "0"]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )  # fmt: skip


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """The output up to the line with that word."""
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if word in line:
            break
    return "".join(lines)


def ended(pid: int) -> bool:
    """Whether no process has that id, looked at for ten seconds."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return True
        pause(0.05)
    return False


def test_the_system_ends_with_a_dev_that_was_killed(started: Callable[[str], subprocess.Popen[str]]) -> None:
    process = started(SYSTEM)
    assert "ready" in read_until(process, "ready at")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    process.kill()
    assert all(ended(int(child)) for child in children)


def test_a_system_that_does_not_start_is_told_at_once_and_starts_after_a_change(
    started: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = started("1 / 0\n")
    assert "has ended with exit code 1" in read_until(process, "has ended")
    (tmp_path / "small.py").write_text(SYSTEM)
    assert "ready" in read_until(process, "ready at")
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in rest


def test_a_system_that_is_stopped_while_it_starts_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    lifeline, end = os.pipe()
    child = Child([sys.executable, "-m", "insula.cli", "run", "no_such:system"], lifeline)
    child.start()
    child.stop()
    os.close(lifeline)
    os.close(end)
    assert capfd.readouterr() == ("", "")
