"""A fake bus and a client that drives an ASGI application in process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from insula.adapters.asgi.application import HttpApplication
from insula.kernel.context import ANONYMOUS, Caller
from insula.modules.assembly import assemble
from insula.modules.module import Module
from insula.modules.system import System


class FakeBus:
    """Remembers what it was asked; answers `answers[type]`: a value, a function of the message, or an error."""

    def __init__(self) -> None:
        self.answers: dict[type, Any] = {}
        self.calls: list[Any] = []
        self.options: list[dict[str, Any]] = []

    async def call(
        self,
        message: Any,
        *,
        message_id: str | None = None,
        caller: Caller = ANONYMOUS,
        timeout_seconds: float | None = None,
        traceparent: str | None = None,
        repeatable: bool = True,
    ) -> Any:
        self.calls.append(message)
        options = {"id": message_id, "caller": caller, "timeout": timeout_seconds, "traceparent": traceparent}
        self.options.append({**options, "repeatable": repeatable})
        answer = self.answers.get(type(message))
        if isinstance(answer, BaseException):
            raise answer
        return answer(message) if callable(answer) else answer


class CountedIds:
    """Ids in a row."""

    def __init__(self) -> None:
        self.count = 0

    def new(self) -> str:
        self.count += 1
        return f"00000000-0000-7000-8000-{self.count:012d}"


@dataclass
class Answer:
    """One response."""

    status: int
    raw_headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.raw_headers}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Sends requests to an ASGI application."""

    application: Any
    body_read: list[int] = field(default_factory=list)

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes] | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        **scope: Any,
    ) -> Answer:
        """One request; a sequence of bytes is a body in chunks, and one that does not end hangs up in the middle."""
        chunks = [body or b""] if isinstance(body, bytes | None) else list(body)
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if body is not None and not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("content-type", "application/json"))
        raw_path, _, query = path.partition("?")
        sent: list[Any] = []
        events = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
            for number, chunk in enumerate(chunks)
        ]

        async def receive() -> Any:
            if not events:
                return {"type": "http.disconnect"}
            event = events.pop(0)
            self.body_read.append(len(event["body"]))
            if event["body"] == b"<hang up>":
                return {"type": "http.disconnect"}
            return event

        async def collect(event: Any) -> None:
            sent.append(event)

        from urllib.parse import unquote

        request = {
            "type": "http",
            "method": method,
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
            "root_path": "",
            **scope,
        }
        await self.application(request, receive, collect)
        if not sent:
            return Answer(0, [], b"")
        assert [event["type"] for event in sent] == ["http.response.start"] + ["http.response.body"] * (len(sent) - 1)
        return Answer(sent[0]["status"], sent[0]["headers"], b"".join(event.get("body", b"") for event in sent[1:]))


Serve = Callable[..., Client]


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def serve(bus: FakeBus) -> Serve:
    """Makes a client of an application over some modules; options go to HttpApplication."""

    def make(*modules: Module, **options: Any) -> Client:
        assembly = assemble(System("shop", *modules))
        return Client(HttpApplication(assembly, bus, ids=CountedIds(), **options))

    return make
