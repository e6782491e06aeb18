"""A full system turns requests away and says when to come again."""

from __future__ import annotations

import asyncio
from typing import Any

from insula import Command, Module, System
from insula.adapters.asgi.application import HttpApplication
from insula.kernel.clock import SystemClock
from insula.kernel.ids import Uuid7
from insula.kernel.randomness import SeededRandomness
from insula.modules import assemble

front = Module("front")


class Wait(Command[None]):
    """Takes as long as the bus does."""


@front.post("/wait", status=204)
@front.handle(Wait)
async def wait(command: Wait) -> None:
    """Never reached: the bus below answers."""


class SlowBus:
    """Answers when the gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def call(self, message: Any, /, **options: Any) -> None:
        await self.gate.wait()


async def post(application: HttpApplication) -> tuple[int, dict[bytes, bytes]]:
    """One request; status and headers of its answer."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/wait", "raw_path": b"/wait", "query_string": b""}
    await application({**scope, "headers": headers}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


async def test_more_requests_than_the_limit_get_503_with_retry_after_and_the_others_their_answer() -> None:
    bus = SlowBus()
    ids = Uuid7(SystemClock(), SeededRandomness(1))
    application = HttpApplication(assemble(System("s", front)), bus, ids=ids, requests_limit=2)
    taken = [asyncio.ensure_future(post(application)) for _ in range(2)]
    await asyncio.sleep(0)
    status, headers = await post(application)
    assert (status, headers[b"retry-after"]) == (503, b"1")
    bus.gate.set()
    assert [status for status, _ in await asyncio.gather(*taken)] == [204, 204]
    assert (await post(application))[0] == 204
