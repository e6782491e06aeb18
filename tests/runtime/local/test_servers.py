"""The keeping of local servers goes on whatever goes wrong with one of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from insula.runtime.local import servers
from insula.runtime.local.servers import LocalServers
from insula.runtime.topology import LOCAL, TopologyPlan
from insula.testing.clock import PassingClock


class FullDisk:
    """A server that cannot be started."""

    pid = None

    def __init__(self, directory: Path, *, password_file: Path) -> None:
        self.directory = directory

    def start(self) -> None:
        """Fail as no one has foreseen."""
        raise OSError(28, "No space left on device")

    def stop(self) -> None:
        """Nothing to stop."""


async def test_a_server_that_fails_in_an_unforeseen_way_is_told_of_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "LocalNats", FullDisk)
    twice, lines = asyncio.Event(), list[str]()

    def say(_: str, line: str) -> None:
        lines.append(line)
        if sum("No space left" in each for each in lines) == 2:
            twice.set()

    local = LocalServers(TopologyPlan("t", "", LOCAL, "", ()), (), tmp_path, say, clock=PassingClock())
    keeping = asyncio.create_task(local.keep())
    waiting = asyncio.create_task(twice.wait())
    await asyncio.wait([keeping, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=20)
    keeping.cancel()
    waiting.cancel()
    await asyncio.wait([keeping, waiting])
    local.stop()
    assert "OSError: [Errno 28] No space left on device; again in 0.4 s" in lines
    assert twice.is_set()
