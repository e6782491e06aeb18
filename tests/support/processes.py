"""Real processes of a system, started, killed and stopped by their own ids."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("src", "examples"))}
_pause = Event()


def environment_of(changes: Mapping[str, str]) -> dict[str, str]:
    """What a child process finds around it: this checkout, and these changes."""
    return {**_ENVIRONMENT, **changes}


class SystemProcess:
    """`insula run` on a directory and a fixed port, so that clients find it again after a crash.

    Parameters: `part`, a topology and the name of one of its processes (default: the whole system in one).
    """

    def __init__(
        self,
        directory: Path,
        *,
        target: str = "shop.system:shop",
        port: int = 0,
        cwd: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        part: tuple[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self._part = part
        self._environment = environment_of(environment or {})
        self.port = port
        self._target = target
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        name = directory.name if part is None else part[1]
        self.output = directory.parent / f"{name}.output"

    def start(self) -> None:
        """Start and wait until ready."""
        command = [sys.executable, "-m", "insula.cli", "run", self._target]
        if self._part is None:
            command += ["--port", str(self.port)]
        else:
            command += ["--topology", self._part[0], "--only", self._part[1]]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--directory", str(self.directory)],
                cwd=self._cwd,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        home = self.directory if self._part is None else self.directory / "processes" / self._part[1]
        presence = home / "process.json"
        for _ in range(600):
            if self._process.poll() is not None:
                break
            try:
                found = json.loads(presence.read_bytes())
                if (
                    found["pid"] == self._process.pid
                    and urlopen(f"{found['url']}/_insula/ready", timeout=2).status == 200
                ):
                    self.port = int(found["url"].rpartition(":")[2])
                    return
            except (OSError, ValueError):
                pass
            _pause.wait(0.05)
        self.kill()
        raise AssertionError(f"the system did not start:\n{self.output.read_text()[-3000:]}")

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process itself."""
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def running(directory: Path, **options: Any) -> Iterator[SystemProcess]:
    """A system that runs for the length of a test."""
    system = SystemProcess(directory, **options)
    system.start()
    try:
        yield system
    finally:
        system.kill()


def tool(
    *arguments: str, timeout_seconds: float = 240, environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run one of the shop's tools, or the command line, to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment_of(environment or {}),
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def start_tool(*arguments: str) -> subprocess.Popen[str]:
    """The same in the background."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=_ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pause(seconds: float) -> None:
    """Let real processes work for a moment."""
    _pause.wait(seconds)


def northwind() -> list[str]:
    """Options for the shop's traffic: the Northwind folder where it is at hand, as many made-up orders else."""
    folder = ROOT.parent / "shared" / "data" / "northwind"
    return ["--northwind", str(folder)] if folder.is_dir() else ["--orders", "830"]
