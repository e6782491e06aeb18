"""How the whole shop scales: orders a second in one process and as seven services, and what a grown log costs.

An order is placed over HTTP and has ended when it is paid or called off and every module has heard of it: seven
modules, about nine messages. One process on SQLite files is compared with seven services on PostgreSQL and NATS
JetStream, all on this one machine: the same work, with a network, two servers and seven interpreters added. `log of …`
is what an event costs from one module's log to the other's handler when so many are in the log already; its floor is
the same at ten thousand.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

from benchmarks.harness import Case, Contender, Sample, Settings, run
from benchmarks.processes import answers, free_port, serving

Opener = Callable[[Settings], AbstractAsyncContextManager[Sample]]
SERVICES = 7
ORDERS_A_SECOND_OF_SAMPLE = 200
_numbers = count()

_CONFIGURATION = """
[http]
port = {port}
[topology.services]
database = "local"
transport = "local"
first_port = {port}
"""


async def orders_a_second(port: int, settings: Settings) -> float:
    """Place orders at a running shop until each has ended."""
    orders = max(100, int(ORDERS_A_SECOND_OF_SAMPLE * settings.seconds))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shop.traffic", "--url", f"http://127.0.0.1:{port}", "--orders", str(orders), "--json",
        "--seed", str(next(_numbers)), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the orders did not all end: {printed.decode()[-2000:]}")
    return float(json.loads(printed)["orders_per_second"])


def shop(*command: str, topology: bool) -> Opener:
    """The shop, run by one of the command line's commands."""

    @asynccontextmanager
    async def open_shop(settings: Settings) -> AsyncIterator[Sample]:
        folder, first = (
            settings.directory / f"shop-{next(_numbers)}",
            _neighbouring_ports() if topology else free_port(),
        )
        folder.mkdir()
        for each in (settings.directory, folder):
            each.chmod(0o755)  # PostgreSQL runs as another user when this is root
        (folder / "insula.toml").write_text(_CONFIGURATION.format(port=first))
        started = [sys.executable, "-m", "insula.cli", *command, "shop.system:shop", "--config", "insula.toml"]
        async with serving(started, port=first, ready_path="/_insula/ready", directory=folder, core=None):
            for port in range(first, first + (SERVICES if topology else 1)):
                while not await answers(port, "/_insula/ready"):
                    await asyncio.sleep(0.1)
            yield lambda: orders_a_second(first + 2 if topology else first, settings)

    return open_shop


def _neighbouring_ports() -> int:
    """The first of seven; nobody holds them, so this is a guess that nearly always holds."""
    return free_port() // 2 + 10_000


def grown(events: int, figure: str) -> Opener:
    """Two modules on a log of so many events."""

    @asynccontextmanager
    async def open_log(settings: Settings) -> AsyncIterator[Sample]:
        folder = settings.directory / f"log-{events}-{next(_numbers)}"
        await _grown(folder, "fill", events)

        async def sample() -> float:
            return float(json.loads(await _grown(folder, "run", max(1, int(settings.seconds))))[figure])

        yield sample

    return open_log


async def _grown(folder: Path, what: str, number: int) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.servers.grown", str(folder), what, str(number), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{what} {number} ended with {process.returncode}")
    return printed


def growth(name: str, events: int, unit: str, figure: str, target: str) -> Case:
    """A figure at so many events beside the same at ten thousand."""
    return Case(
        name, unit, "lower", Contender("Insula", grown(events, figure)),
        floor=Contender("at 10,000", grown(10_000, figure)), target=target, warm_up=False,
    )  # fmt: skip


CASES = (
    Case(
        "orders, seven services", "orders/s", "higher",
        Contender("Insula", shop("up", "--topology", "services", topology=True), ("asyncpg", "nats")),
        floor=Contender("one process on SQLite", shop("run", topology=False)),
    ),
    growth("log of 100,000", 100_000, "µs/event", "microseconds", "≤ 1.3 × at 10,000"),
    growth("log of 1,000,000", 1_000_000, "µs/event", "microseconds", "≤ 1.3 × at 10,000"),
    growth("memory at 1,000,000", 1_000_000, "MiB", "mebibytes", "≤ 1.1 × at 10,000"),
    growth("start at 1,000,000", 1_000_000, "ms", "start_milliseconds", "≤ 1.3 × at 10,000"),
)  # fmt: skip


if __name__ == "__main__":
    run(__doc__ or "", CASES, quick_rounds=1)
