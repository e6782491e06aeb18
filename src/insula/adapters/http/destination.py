"""Sends the messages of an outbox to a service over HTTP. Implements `Destination`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from insula.kernel.errors import Failure, Unavailable
from insula.messages import Envelope, to_cloudevent
from insula.messaging.destination import Refused

if TYPE_CHECKING:
    from aiohttp import ClientSession

_SECONDS = 10.0
_SHOWN = 300
_MEDIA_TYPE = "application/cloudevents+json"

Meaning = Literal["taken", "refused", "failed", "away"]

# They are about the address or the moment; an outage or a wrong token must not park every message.
_AWAY = frozenset((401, 403, 404, 405, 407, 408, 425, 429, 502, 503, 504))


def meaning_of(status: int) -> Meaning:
    """What an HTTP status says of the message that was sent."""
    if 200 <= status < 300:
        return "taken"
    if status in _AWAY or status < 400:
        return "away"
    return "refused" if status < 500 else "failed"


class HttpDestination:
    """POSTs each message as a CloudEvent in structured mode, its id also as Idempotency-Key; 2xx means taken.

    Parameters: `url`, which may hold user and password; `concurrency`, how many keys are sent at a time (default 16).
    401, 403 to 405, 408, 425, 429, 502 to 504, a redirect and no answer within 10 seconds mean "not now", whatever the
    message; 500 and its like, that this message failed; other 4xx, that it is refused.
    Source: CloudEvents, HTTP protocol binding 1.0.2, section 3.2.
    """

    def __init__(self, url: str, *, concurrency: int = 16) -> None:
        self._url = url
        parts = urlsplit(url)
        self.address = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        self.concurrency = concurrency
        self._session: ClientSession | None = None

    async def open(self) -> None:
        """Nothing can be seen beforehand without sending a message."""

    async def send(self, message: Envelope) -> None:
        """POST it. Raises `Unavailable`, `Refused`, and `Failure` where this message fails."""
        from aiohttp import ClientError

        headers = {"content-type": _MEDIA_TYPE, "idempotency-key": f'"{message.id}"'}
        if message.traceparent is not None:
            headers["traceparent"] = message.traceparent
        try:
            async with (
                asyncio.timeout(_SECONDS),
                self._open_session().post(
                    self._url, data=to_cloudevent(message), headers=headers, allow_redirects=False
                ) as response,
            ):
                body, status, retry_after = await response.read(), response.status, response.headers.get("retry-after")
        except TimeoutError:
            raise Unavailable(f"{self.address} did not answer in {_SECONDS:g} s") from None
        except (ClientError, OSError) as error:
            raise Unavailable(f"{self.address} cannot be reached: {str(error) or type(error).__name__}") from error
        meaning = meaning_of(status)
        if meaning == "taken":
            return
        told = f"{self.address} answered {status} to {message.type} {message.id}: {body[:_SHOWN]!r}"
        if meaning == "away":
            seconds = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
            raise Unavailable(told, retry_after=seconds)
        raise Refused(told) if meaning == "refused" else Failure(told)

    def _open_session(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, DummyCookieJar, TCPConnector

            self._session = ClientSession(connector=TCPConnector(limit=self.concurrency), cookie_jar=DummyCookieJar())
        return self._session

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
