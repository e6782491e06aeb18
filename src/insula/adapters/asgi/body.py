"""Reading a request's body, not more of it than is allowed."""

from __future__ import annotations

from insula.adapters.asgi.interface import Receive
from insula.edge.problem import RequestRefused, refuse


class ClientGone(Exception):
    """The client hung up before its request was complete; nobody is left to answer."""


async def read_body(receive: Receive, announced: bytes | None, limit_bytes: int) -> bytes:
    """The whole body.

    Parameters: `announced`, the Content-Length header; `limit_bytes`, the longest body taken, checked against the
    announcement and against what really comes.
    Raises RequestRefused (413, 400), ClientGone.
    """
    if announced is not None:
        _check_announced(announced, limit_bytes)
    event = await receive()
    body: bytes = event.get("body", b"")
    if event["type"] == "http.request" and not event.get("more_body", False) and len(body) <= limit_bytes:
        return body
    chunks, length = [body], len(body)
    while True:
        if event["type"] == "http.disconnect":
            raise ClientGone
        if length > limit_bytes:
            raise _too_large(limit_bytes)
        if not event.get("more_body", False):
            return b"".join(chunks)
        event = await receive()
        chunks.append(event.get("body", b""))
        length += len(chunks[-1])


def _check_announced(announced: bytes, limit_bytes: int) -> None:
    try:
        length = int(announced)
    except ValueError:
        raise refuse(400, "ContentLengthInvalid", "The header Content-Length is no number.") from None
    if length > limit_bytes:
        raise _too_large(limit_bytes)


def _too_large(limit_bytes: int) -> RequestRefused:
    # The rest of the body is not read, so that the connection cannot be used again.
    return refuse(
        413, "ContentTooLarge", f"The body is longer than the {limit_bytes} bytes allowed.", ("connection", "close")
    )
