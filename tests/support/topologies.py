"""A topology of real processes, run by `insula up` as a user would."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from insula.kernel.randomness import SystemRandomness
from support.processes import ROOT, environment_of, pause

_FIRST_PORT, _LAST_PORT = 20_000, 32_000
"""Below those that the system gives to whoever asks for any port."""


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody uses."""
    chance = SystemRandomness()
    for _ in range(100):
        first = _FIRST_PORT + int(chance.random() * (_LAST_PORT - _FIRST_PORT))
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    probe = held.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise AssertionError(f"no {count} neighbouring ports are free")


class RunningTopology:
    """`insula up`, with its processes. Parameters: `folder`; `name` of the topology in `configuration`, TOML text."""

    def __init__(self, folder: Path, name: str, configuration: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.name = name
        self.output = folder / "output"
        self.config = folder / "insula.toml"
        self.config.write_text(configuration)
        self._environment = environment_of(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until all are up."""
        begins = self.output.stat().st_size if self.output.exists() else 0
        command = [sys.executable, "-m", "insula.cli", "up", "--topology", self.name, "--config", str(self.config)]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--directory", str(self.data)], cwd=ROOT, env=self._environment, stdout=output, stderr=output
            )
        for _ in range(1800):
            said = self.output.read_bytes()[begins:].decode(errors="replace")
            if " is up: " in said:
                return
            if self._process.poll() is not None:
                break
            pause(0.05)
        self.kill()
        raise AssertionError(f"the topology did not start:\n{self.said()[-6000:]}")

    def said(self) -> str:
        """Everything that was printed."""
        return self.output.read_text(errors="replace")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor."""
        assert self._process is not None
        return self._process

    def url(self, process: str) -> str:
        """Where one of the processes answers."""
        found = re.findall(rf"^{process} +│ is ready at (\S+)", self.said(), re.MULTILINE)
        return str(found[-1])

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """kill -9 of the supervisor alone."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)


@contextmanager
def up(name: str, configuration: str, environment: Mapping[str, str] | None = None) -> Iterator[RunningTopology]:
    """A topology that runs for the length of a test, in a folder that PostgreSQL's account may enter."""
    with tempfile.TemporaryDirectory(prefix="insula-up-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        topology = RunningTopology(Path(folder), name, configuration, environment or {})
        topology.start()
        try:
            yield topology
        finally:
            if topology.process.poll() is None:
                topology.stop()


def shop_topologies(count: int = 8) -> str:
    """The example's `insula.toml`, on ports that are free."""
    text = (ROOT / "examples" / "insula.toml").read_text()
    first = free_ports(count)
    return re.sub(r"first_port = \d+", f"first_port = {first}", text)


def json_of(topology: RunningTopology, *arguments: str) -> Any:
    """What one of the command line's commands tells about a topology."""
    done = subprocess.run(
        [sys.executable, "-m", "insula.cli", *arguments, "--directory", str(topology.data), "--json"],
        cwd=ROOT, env=environment_of({}), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout)
