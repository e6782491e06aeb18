"""HTTP requests to the ASGI application of a simulated process, without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import unquote

import msgspec

Event = MutableMapping[str, Any]
Asgi = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Response:
    """What an HTTP request was answered with."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


async def answer_request(application: Asgi, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
    """Put one request to an ASGI application."""
    where, _, query = path.partition("?")
    fields = {"content-type": "application/json", "content-length": str(len(body)), **headers} if body else headers
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method.upper(), "scheme": "http",
        "path": unquote(where), "raw_path": where.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    events: list[Event] = [{"type": "http.request", "body": body, "more_body": False}]
    status, answered, chunks = 500, {}, []

    async def receive() -> Event:
        if events:
            return events.pop()
        return await _never()  # the client stays connected

    async def send(event: Event) -> None:
        nonlocal status, answered
        if event["type"] == "http.response.start":
            status = event["status"]
            answered = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.get("headers", ())}
        elif event["type"] == "http.response.body":
            chunks.append(event.get("body", b""))

    await application(scope, receive, send)
    return Response(status, answered, b"".join(chunks))


async def start_lifespan(application: Asgi) -> None:
    """Begin an ASGI application's lifespan, and leave it open: a simulated process ends by crashing."""
    started = asyncio.get_running_loop().create_future()
    events: list[Event] = [{"type": "lifespan.startup"}]

    async def receive() -> Event:
        if events:
            return events.pop()
        return await _never()

    async def send(event: Event) -> None:
        if not started.done():
            started.set_result(event)

    async def live() -> None:
        await application({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    task = asyncio.get_running_loop().create_task(live())
    await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()


async def _never() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody ends this wait")
