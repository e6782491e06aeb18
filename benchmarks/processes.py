"""Child processes of a benchmark: servers on one core, the load on another, and what they take."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers on `port`; `first_answer_seconds` passed from its start to its first answer."""

    process: Process
    port: int
    first_answer_seconds: float


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def pin(process: Process, core: int) -> None:
    """Keep a process, and all it starts from now on, on one core; does nothing where there is one, or no choice."""
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(process.pid, {cores[core]})


@asynccontextmanager
async def serving(
    command: Sequence[str], *, port: int, ready_path: str, directory: Path, core: int | None = 0
) -> AsyncIterator[Server]:
    """Run a server until the block is left. It finds `directory` in BENCHMARK_DIRECTORY, and is its current folder.

    Raises RuntimeError with what the server printed when it dies, or does not answer in half a minute.
    """
    output = directory / f"server-{port}.log"
    paths = [str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "BENCHMARK_DIRECTORY": str(directory), "PYTHONPATH": os.pathsep.join(paths)}
    with output.open("wb") as log:
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, env=environment, cwd=directory, start_new_session=True
        )
    if core is not None:
        pin(process, core)
    try:
        await first_answer(process, port, ready_path, output)
        yield Server(process=process, port=port, first_answer_seconds=time.perf_counter() - started)
    finally:
        await stop(process)


async def first_answer(process: Process, port: int, path: str, output: Path) -> None:
    """Ask until the server answers 200."""
    end = time.perf_counter() + START_TIMEOUT_SECONDS
    while time.perf_counter() < end:
        if process.returncode is not None:
            raise RuntimeError(f"the server ended with {process.returncode}:\n{output.read_text()[-2000:]}")
        if await answers(port, path):
            return
        await asyncio.sleep(0.005)
    raise RuntimeError(f"no answer from {path} in {START_TIMEOUT_SECONDS:.0f} s:\n{output.read_text()[-2000:]}")


async def answers(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
    finally:
        writer.close()


async def stop(process: Process) -> None:
    """End a server kindly, then less so."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


async def post_repeatedly(port: int, path: str, body: str, *, status: int, seconds: float) -> dict[str, float]:
    """Drive an endpoint with 64 connections from the other core; return requests a second and latencies."""
    options = ["--port", str(port), "--path", path, "--body", body, "--status", str(status), "--seconds", str(seconds)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load", *options, stdout=asyncio.subprocess.PIPE
    )
    pin(process, 1)
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load on {path} failed")
    figures: dict[str, float] = json.loads(printed)
    return figures


def resident_mebibytes(process: Process) -> float:
    """Memory that a process holds, shared pages included."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        resident = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(resident.split()[1]) / 1024
    printed = subprocess.run(["ps", "-o", "rss=", "-p", str(process.pid)], capture_output=True, text=True, check=True)
    return int(printed.stdout) / 1024
