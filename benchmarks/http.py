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


def uvicorn(application: str, path: str, status: int) -> Callable[[Settings], AbstractAsyncContextManager[Sample]]:
    @asynccontextmanager
    async def open_server(settings: Settings) -> AsyncIterator[Sample]:
        port = free_port()
        command = uvicorn_command(application, port)
        async with serving(command, port=port, ready_path="/ready", directory=settings.directory):

            async def sample() -> float:
                figures = await post_repeatedly(port, path, BODY, status=status, seconds=settings.seconds)
                return figures["requests_per_second"]

            yield sample

    return open_server
