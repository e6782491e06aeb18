"""Requests a second over HTTP: POST a validated JSON body, 64 connections, server and load on a core each.

`ask` is answered by a query handler; `durable` by a command whose handler inserts an order on SQLite (WAL,
synchronous=FULL) and is answered once that is durable. Everybody validates the same body and is served by uvicorn with
uvloop and httptools, without an access log. Ours is `insula run` on a module as a user writes it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from benchmarks.harness import Case, Contender, Sample, Settings, run
from benchmarks.processes import free_port, post_repeatedly, serving

BODY = json.dumps(
    {
        "reference": "0190a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "sku": "sku-0001",
        "quantity": 3,
        "amount": "12.50",
        "at": "2026-01-01T12:00:00Z",
        "note": "leave it at the door",
    }
)


def uvicorn_command(application: str, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", application, "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]


def insula_command(target: str, port: int, files: Path) -> list[str]:
    return [sys.executable, "-m", "insula.cli", "run", target, "--port", str(port), "--directory", str(files)]


Opener = Callable[[Settings], AbstractAsyncContextManager[Sample]]


def posting(command: Callable[[int, Path], list[str]], ready_path: str, path: str, status: int) -> Opener:
    """Start a server with `command(port, folder of its own)` and post to `path` for a while at each sample."""

    @asynccontextmanager
    async def open_server(settings: Settings) -> AsyncIterator[Sample]:
        port = free_port()
        folder = settings.directory / f"server-{port}"
        folder.mkdir(exist_ok=True)
        async with serving(command(port, folder), port=port, ready_path=ready_path, directory=folder):

            async def sample() -> float:
                figures = await post_repeatedly(port, path, BODY, status=status, seconds=settings.seconds)
                return figures["requests_per_second"]

            yield sample

    return open_server


def uvicorn(application: str, path: str, status: int) -> Opener:
    return posting(lambda port, _: uvicorn_command(application, port), "/ready", path, status)


def insula_run(path: str, status: int) -> Opener:
    target = "benchmarks.servers.insula_shop:shop"
    return posting(lambda port, folder: insula_command(target, port, folder), "/_insula/ready", path, status)


FASTAPI = "benchmarks.servers.fastapi_shop:application"
RAW = "benchmarks.servers.raw:application"

CASES = (
    Case(
        name="ask",
        unit="requests/s",
        better="higher",
        ours=Contender("Insula", insula_run("/price", 200)),
        floor=Contender("raw ASGI + msgspec", uvicorn(RAW, "/price", 200)),
        peers=(Contender("FastAPI", uvicorn(FASTAPI, "/price", 200), packages=("fastapi",)),),
        target="≥ 0.55 × floor, ≥ 2.3 × peer",
    ),
    Case(
        name="durable",
        unit="requests/s",
        better="higher",
        ours=Contender("Insula", insula_run("/orders", 201)),
        floor=Contender("raw ASGI + group commit", uvicorn(RAW, "/orders", 201)),
        peers=(
            Contender("FastAPI + SQLAlchemy ORM", uvicorn(FASTAPI, "/orders", 201), packages=("fastapi",)),
            Contender(
                "FastAPI + SQLAlchemy Core, one writer thread",
                uvicorn(FASTAPI, "/orders-by-one-writer", 201),
                packages=("fastapi",),
            ),
        ),
        target="≥ 5 × peer",
    ),
)

if __name__ == "__main__":
    run((__doc__ or "").partition("\n\n")[0], CASES, quick_rounds=1)
