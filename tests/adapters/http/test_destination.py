"""Messages of an outbox are POSTed as CloudEvents; what the answer means decides whether a key or everything waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from insula.adapters.http.destination import HttpDestination, meaning_of
from insula.kernel.errors import Failure, Unavailable
from insula.messages import Envelope, from_cloudevent
from insula.messaging.destination import Refused
from support.neighbourhood import free_port

MESSAGE = Envelope(
    id="1", source="shop", type="OrderPlaced", kind="event", version=1, subject="ann", data=b"{}",
    time=datetime(2030, 1, 1, tzinfo=UTC), correlation_id="1", causation_id=None, traceparent=None, caller="anonymous",
)  # fmt: skip


class Service:
    """Answers with one status and keeps what it was sent."""

    def __init__(self, status: int = 204) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self.named: list[tuple[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.named.append((request.headers["content-type"], request.headers["idempotency-key"]))
        return web.Response(status=self.status, headers=self.headers)


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[HttpDestination]:
    """A destination of a service that runs."""
    application = web.Application()
    application.router.add_post("/events", service.answer)
    runner, port = web.AppRunner(application), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    destination = HttpDestination(f"http://ann:secret@127.0.0.1:{port}/events?token=secret")
    try:
        await destination.open()
        yield destination
    finally:
        await destination.close()
        await runner.cleanup()


async def test_a_message_arrives_as_a_cloudevent() -> None:
    service = Service()
    async with served(service) as destination:
        await destination.send(MESSAGE)
        assert "secret" not in destination.address
    assert (from_cloudevent(service.bodies[0]), service.named) == (
        MESSAGE, [("application/cloudevents+json", '"1"')],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("meaning", "statuses"),
    [
        ("taken", (200, 201, 202, 204)),
        ("away", (301, 307, 401, 403, 404, 408, 429, 502, 503, 504)),
        ("refused", (400, 409, 410, 413, 422)),
        ("failed", (500, 501, 507)),
    ],
)
def test_what_a_status_says_of_a_message(meaning: str, statuses: tuple[int, ...]) -> None:
    assert {meaning_of(status) for status in statuses} == {meaning}


@pytest.mark.parametrize(("status", "error"), [(422, Refused), (500, Failure), (503, Unavailable)])
async def test_an_answer_that_is_no_yes_says_what_it_was(status: int, error: type[Exception]) -> None:
    service = Service(status)
    service.headers = {"retry-after": "7"}
    async with served(service) as destination:
        with pytest.raises(error, match=f"/events answered {status} to OrderPlaced 1") as caught:
            await destination.send(MESSAGE)
    assert caught.type is error
    assert getattr(caught.value, "retry_after", None) == (7 if status == 503 else None)


async def test_nobody_there_is_unavailable() -> None:
    destination = HttpDestination(f"http://127.0.0.1:{free_port()}/events")
    with pytest.raises(Unavailable, match="/events cannot be reached"):
        await destination.send(MESSAGE)
    await destination.close()
