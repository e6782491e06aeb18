"""What it takes to begin: importing, answering the first request, and memory while nothing happens.

Imports are timed inside a fresh interpreter, so that starting Python itself does not count. The servers start on
empty databases, and are asked until they answer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Case, Contender, Sample, Settings, run
from benchmarks.http import FASTAPI, RAW, Opener, insula_command, uvicorn_command
from benchmarks.processes import Server, free_port, resident_mebibytes, serving

SETTLING_SECONDS = 0.5


def importing(statement: str) -> Opener:
    """Milliseconds that an import statement takes in a fresh interpreter."""
    program = f"import time; started = time.perf_counter()\n{statement}\nprint(time.perf_counter() - started)"

    @asynccontextmanager
    async def open_interpreter(settings: Settings) -> AsyncIterator[Sample]:
        async def sample() -> float:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
            )
            printed, _ = await process.communicate()
            if process.returncode:
                raise RuntimeError(f"could not run: {statement}")
            return float(printed) * 1000

        yield sample

    return open_interpreter


@dataclass(frozen=True, slots=True)
class Startable:
    """A server to start: its command, given a port and a folder of its own, and a path that it answers."""

    command: Callable[[int, Path], list[str]]
    path: str

    def serving(self, settings: Settings) -> AbstractAsyncContextManager[Server]:
        port = free_port()
        folder = settings.directory / f"server-{port}"
        folder.mkdir(exist_ok=True)
        return serving(self.command(port, folder), port=port, ready_path=self.path, directory=folder, core=None)


def first_answer(server: Startable) -> Opener:
    """Milliseconds from starting the process to its first answer."""

    @asynccontextmanager
    async def open_nothing_yet(settings: Settings) -> AsyncIterator[Sample]:
        async def sample() -> float:
            async with server.serving(settings) as running:
                return running.first_answer_seconds * 1000

        yield sample

    return open_nothing_yet


def idle_memory(server: Startable) -> Opener:
    """Mebibytes that the server holds a moment after its first answer."""

    @asynccontextmanager
    async def open_server(settings: Settings) -> AsyncIterator[Sample]:
        async with server.serving(settings) as running:
            await asyncio.sleep(SETTLING_SECONDS)

            async def sample() -> float:
                return resident_mebibytes(running.process)

            yield sample

    return open_server


NAMES = "Ask, Command, Context, Event, Module, Money, Query, Rejection, System, UnitOfWork"
OURS = Startable(lambda port, folder: insula_command("shop.system:shop", port, folder), "/products")
RAW_SERVER = Startable(lambda port, _: uvicorn_command(RAW, port), "/ready")
FASTAPI_SERVER = Startable(lambda port, _: uvicorn_command(FASTAPI, port), "/ready")

CASES = (
    Case(
        name="import insula",
        unit="ms",
        better="lower",
        ours=Contender("Insula", importing("import insula")),
        floor=Contender("asyncio, msgspec, uvloop, sqlite3", importing("import asyncio, msgspec, uvloop, sqlite3")),
        peers=(
            Contender("FastAPI", importing("import fastapi"), packages=("fastapi",)),
            Contender("FastStream", importing("import faststream"), packages=("faststream",)),
        ),
        target="≤ 70 ms",
    ),
    Case(
        name="import what a module uses",
        unit="ms",
        better="lower",
        ours=Contender("Insula", importing(f"from insula import {NAMES}")),
        floor=Contender("asyncio, msgspec, uvloop, sqlite3", importing("import asyncio, msgspec, uvloop, sqlite3")),
        peers=(Contender("FastAPI", importing("from fastapi import FastAPI"), packages=("fastapi",)),),
        warm_up=False,
    ),
    Case(
        name="first answer",
        unit="ms",
        better="lower",
        ours=Contender("Insula, the shop", first_answer(OURS)),
        floor=Contender("raw ASGI", first_answer(RAW_SERVER)),
        peers=(Contender("FastAPI + SQLAlchemy", first_answer(FASTAPI_SERVER), packages=("fastapi",)),),
        target="≤ 1,500 ms",
        warm_up=False,
    ),
    Case(
        name="idle memory",
        unit="MiB",
        better="lower",
        ours=Contender("Insula, the shop", idle_memory(OURS)),
        floor=Contender("raw ASGI", idle_memory(RAW_SERVER)),
        peers=(Contender("FastAPI + SQLAlchemy", idle_memory(FASTAPI_SERVER), packages=("fastapi",)),),
        target="≤ 120 MiB",
        warm_up=False,
    ),
)

if __name__ == "__main__":
    run((__doc__ or "").partition("\n\n")[0], CASES, quick_rounds=1)
