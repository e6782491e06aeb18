"""A system in several processes' worth of applications: messages over NATS, calls over HTTP, each on its own folder."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from insula.adapters.asgi.server import serve
from insula.adapters.http.neighbours import HttpNeighbours
from insula.adapters.nats.transport import NatsTransport
from insula.kernel.clock import SystemClock
from insula.modules import System
from insula.runtime.application import Application
from insula.runtime.process import http_face
from insula.runtime.surroundings import Surroundings

TOKEN = "shared-by-all"


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Neighbourhood:
    """Where modules run. Parameters: `groups`, process -> its modules; `broker`, the address of NATS."""

    def __init__(self, system: System, groups: Mapping[str, Collection[str]], broker: str, folder: Path) -> None:
        self.system = system
        self.groups = groups
        self.folder = folder
        self._broker = broker
        self.ports = {process: free_port() for process in groups}
        self.addresses = {
            module: f"http://127.0.0.1:{self.ports[process]}"
            for process, modules in groups.items()
            for module in modules
        }

    @asynccontextmanager
    async def process(self, name: str) -> AsyncIterator[Application]:
        """One of the processes, up and serving until the end of the block."""
        clock = SystemClock()
        surroundings = Surroundings(
            clock=clock,
            neighbours=HttpNeighbours(self.addresses, TOKEN, clock),
            transport=NatsTransport(self._broker, prefix=self.system.name),
        )
        application = Application(
            self.system, directory=self.folder / name, surroundings=surroundings, only=self.groups[name]
        )
        async with application, served(application, self.ports[name]):
            yield application

    @asynccontextmanager
    async def all(self) -> AsyncIterator[dict[str, Application]]:
        """Every process."""
        async with AsyncExitStack() as running:
            yield {name: await running.enter_async_context(self.process(name)) for name in self.groups}


@asynccontextmanager
async def served(application: Application, port: int, token: str = TOKEN) -> AsyncIterator[str]:
    """The HTTP face of an application, with the endpoint that other processes call."""
    stopping, ready = asyncio.Event(), asyncio.Event()
    face = http_face(application, "admin", stopping, token)
    serving = asyncio.create_task(
        serve(face, port=port, stopping=stopping, on_ready=lambda _: ready.set(), drain_seconds=5)
    )
    try:
        await ready.wait()
        yield f"http://127.0.0.1:{port}"
    finally:
        stopping.set()
        await serving
