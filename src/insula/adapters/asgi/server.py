"""Serving an ASGI application over HTTP/1.1 with uvicorn, inside an event loop that the caller owns."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import uvicorn

from insula.adapters.asgi.interface import Asgi
from insula.adapters.asgi.lifespan import Lifespan
from insula.kernel.errors import ConfigurationError

DRAIN_SECONDS = 30.0
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
_LARGEST_PORT = 65_535
_ACCEPT_SECONDS = 0.01  # for connections accepted before the listener closed to become known
_ABANDON_SECONDS = 1.0  # for handlers that catch their cancellation


async def serve(
    application: Asgi,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    stopping: asyncio.Event,
    on_ready: Callable[[str], None] | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Serve until `stopping` is set, then drain: take no new connection, finish the requests under way, close.

    Signals are the caller's. A caller that cannot wait cancels this: every connection is cut at once.

    Parameters: `host` (default: this machine only) and `port`, 0 for any free one; `stopping`, set to drain;
    `on_ready`, called with the address, such as "http://127.0.0.1:8000", once requests are answered; `drain_seconds`,
    after which what still runs is cancelled (default 30).
    Raises ConfigurationError if the address cannot be used, or if the application refuses to start or stop.
    """
    listener = _listen(host, port)
    lifespan = Lifespan(application, "the application")
    thresholds = gc.get_threshold()
    try:
        await lifespan.start()
        server = _Uvicorn(_configuration(application, drain_seconds), lambda: _ready(listener, on_ready))
        try:
            await _run(server, listener, stopping)
        finally:
            gc.unfreeze()
            gc.set_threshold(*thresholds)
            await lifespan.stop()
    finally:
        listener.close()


def check_address(host: str, port: int) -> None:
    """See that an address can be used, before anything expensive begins. Raises ConfigurationError."""
    _listen(host, port).close()


class _Uvicorn(uvicorn.Server):
    """uvicorn's server without its own signal handlers, and with a word when it is ready."""

    def __init__(self, configuration: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(configuration)
        self._on_started = on_started

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn asks the connections it knows to close; one accepted but not made yet would keep it waiting.
        for listening in self.servers:
            listening.close()
        await asyncio.sleep(_ACCEPT_SECONDS)
        await super().shutdown(sockets=sockets)


def _configuration(application: Asgi, drain_seconds: float) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="none",  # the loop runs already
        http="httptools",
        lifespan="off",  # ours is told apart from a crash and names its reason
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds,  # type: ignore[arg-type]
    )


async def _run(server: _Uvicorn, listener: socket.socket, stopping: asyncio.Event) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http server")
    waiting = asyncio.create_task(stopping.wait())
    either: list[asyncio.Future[Any]] = [serving, waiting]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await asyncio.shield(serving)
    finally:
        waiting.cancel()
        if not serving.done():
            await _abandon(server, serving)


async def _abandon(server: _Uvicorn, serving: asyncio.Task[None]) -> None:
    """Cut every connection and cancel what runs."""
    for listening in getattr(server, "servers", ()):
        listening.close()
    running = list(server.server_state.tasks)
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    for task in (*running, serving):
        task.cancel()
    await asyncio.wait([*running, serving], timeout=_ABANDON_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _LARGEST_PORT:
        raise ConfigurationError(f"cannot serve HTTP at {host}:{port}: a port is a number from 0 to {_LARGEST_PORT}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:  # the latter from a host name that can be none
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else str(error)
        raise ConfigurationError(f"cannot serve HTTP at {host}:{port}: {reason}; choose another host or port") from None


def _ready(listener: socket.socket, on_ready: Callable[[str], None] | None) -> None:
    # What is there now stays: the collector need not look at it again whenever requests leave garbage. Requests under
    # way are not garbage either, so it looks less often: at the default of 700 objects it is a tenth of a durable POST.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    if on_ready is not None:
        host, port = listener.getsockname()[:2]
        on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
