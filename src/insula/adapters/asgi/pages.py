"""What the application answers by itself: health, the OpenAPI document and the page that shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from insula.adapters.asgi.exchange import RawHeader, respond
from insula.adapters.asgi.interface import Asgi, Receive, Scope, Send
from insula.messages.codec import encode

ALIVE_PATH, READY_PATH = "/_insula/health", "/_insula/ready"
DOCUMENT_PATH, DOCS_PATH = "/openapi.json", "/docs"

_NO_STORE: RawHeader = (b"cache-control", b"no-store")
_REVALIDATE: RawHeader = (b"cache-control", b"no-cache")
# The page is one file and may talk to its own server only.
_POLICY: RawHeader = (
    b"content-security-policy",
    (
        b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        b"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
)


def health_page(is_well: Callable[[], bool], well: str, unwell: str) -> Asgi:
    """An endpoint that says 200 or 503.

    Parameters: `is_well`, asked at every request; `well` and `unwell`, the status in words.
    """

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        fine = is_well()
        body = encode({"status": well if fine else unwell})
        headers: list[RawHeader] = [_NO_STORE] if fine else [_NO_STORE, (b"retry-after", b"1")]
        await _send_page(scope, send, 200 if fine else 503, b"application/json", body, headers)

    return answer


def document_page(document: bytes) -> Asgi:
    """An endpoint that hands out the OpenAPI document."""

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        await _send_page(scope, send, 200, b"application/json", document, [_REVALIDATE])

    return answer


def docs_page() -> Asgi:
    """An endpoint that shows the OpenAPI document to people; it needs nothing from other servers."""
    page = Path(__file__).with_name("docs.html").read_bytes()

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        await _send_page(scope, send, 200, b"text/html; charset=utf-8", page, [_REVALIDATE, _POLICY])

    return answer


async def _send_page(
    scope: Scope, send: Send, status: int, content_type: bytes, body: bytes, more: list[RawHeader]
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *more]
    await respond(send, status, headers, b"" if scope["method"] == "HEAD" else body)
