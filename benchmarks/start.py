"""What it takes to begin: importing, answering the first request, and memory while nothing happens.

Imports are timed inside a fresh interpreter, so that starting Python itself does not count. The servers start on
empty databases, and are asked until they answer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from benchmarks.harness import Case, Contender, Sample, Settings, run
from benchmarks.http import uvicorn_command
from benchmarks.processes import free_port, resident_mebibytes, serving

Opener = Callable[[Settings], AbstractAsyncContextManager[Sample]]
ServerCommand = Callable[[int], Sequence[str]]

SETTLING_SECONDS = 1.0


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


def first_answer(command: ServerCommand, path: str) -> Opener:
    """Milliseconds from starting the process to its first answer."""

    @asynccontextmanager
    async def open_server(settings: Settings) -> AsyncIterator[Sample]:
        async def sample() -> float:
            port = free_port()
            directory = settings.directory / f"first-answer-{port}"
            directory.mkdir(exist_ok=True)
            async with serving(command(port), port=port, ready_path=path, directory=directory, core=None) as server:
                return server.first_answer_seconds * 1000

        yield sample

    return open_server


def idle_memory(command: ServerCommand, path: str) -> Opener:
    """Mebibytes that the server holds after its first answer."""

    @asynccontextmanager
    async def open_server(settings: Settings) -> AsyncIterator[Sample]:
        port = free_port()
        directory = settings.directory / f"idle-{port}"
        directory.mkdir(exist_ok=True)
        async with serving(command(port), port=port, ready_path=path, directory=directory, core=None) as server:
            await asyncio.sleep(SETTLING_SECONDS)

            async def sample() -> float:
                return resident_mebibytes(server.process)

            yield sample

    return open_server
