"""Answers calls from other processes of the same system. No public route: whoever calls has the system's token."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from insula.adapters.asgi.body import ClientGone, read_body
from insula.adapters.asgi.exchange import respond
from insula.adapters.asgi.interface import Receive, Scope, Send
from insula.edge.headers import Headers
from insula.edge.problem import RequestRefused
from insula.edge.remote import (
    CALL_PATH,
    CONTRACT,
    OUTCOME,
    MessageNotServed,
    Reply,
    context_of,
    contract_of,
    differing,
    encode_failure,
)
from insula.kernel.clock import Clock
from insula.kernel.context import MessageContext
from insula.kernel.errors import DeadlineExceeded, Failure, Rejection, Unavailable
from insula.kernel.randomness import Randomness
from insula.messages import Message, MessageInvalid, decoder, encode, encode_rejection
from insula.messaging.bus import Bus

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

logger = logging.getLogger("insula.http")

BODY_LIMIT_BYTES = 16 * 1_048_576
CALLS_LIMIT = 1000


class Calls:
    """Takes a message by its wire name, lets the bus answer it, and says how that ended.

    Parameters: `served`, wire name -> class of the messages that modules of this process handle; `token`, which all
    processes of the system share; `limit`, how many calls may be under way at once (default 1000).
    """

    def __init__(
        self,
        bus: Bus,
        served: Mapping[str, type[Message]],
        clock: Clock,
        randomness: Randomness,
        token: str,
        *,
        limit: int = CALLS_LIMIT,
    ) -> None:
        if not token:
            raise ValueError("Calls(token=''): give the token that all processes of the system share")
        self._bus = bus
        self._served = served
        self._clock = clock
        self._randomness = randomness
        self._expected = f"Bearer {token}".encode()
        self._limit = limit
        self._under_way = 0

    def routes(self) -> list[BaseRoute]:
        """Routes for the ASGI application to serve."""
        from starlette.routing import Route  # not needed where nobody calls

        return [Route(f"{CALL_PATH}{{name}}", self, methods=["POST"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        headers = Headers(scope["headers"])
        given = headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._expected):
            await respond(send, 401, [(b"content-length", b"0")], b"")
            return
        name = scope["path_params"]["name"]
        try:
            body = await read_body(receive, headers.get("content-length", "").encode() or None, BODY_LIMIT_BYTES)
            reply = await self._answered(name, headers, body)
        except ClientGone:
            return
        except Rejection as rejection:
            reply = Reply("rejection", rejection.status, encode_rejection(rejection))
        except Failure as failure:
            logger.warning("%s called from elsewhere failed: %s: %s", name, type(failure).__name__, failure)
            reply = Reply("failure", failure.status, encode_failure(failure))
        except (RequestRefused, ValueError) as error:
            reply = Reply("failure", 400, encode_failure(Failure(str(error))))
        except Exception:
            logger.exception("%s called from elsewhere failed", name)
            reply = Reply("failure", 500, encode_failure(Failure(f"{name} failed; the log of that process says why")))
        known = self._served.get(name)
        told = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(reply.body)),
            (OUTCOME.encode(), reply.outcome.encode()),
            (CONTRACT.encode(), b"" if known is None else contract_of(known).encode()),
        ]
        await respond(send, reply.status, told, reply.body)

    async def _answered(self, name: str, headers: Headers, body: bytes) -> Reply:
        cls = self._served.get(name)
        if cls is None:
            raise MessageNotServed(
                f"{name} is not handled here: this process runs another version of the system, or other modules"
            )
        context = context_of(headers, self._clock, self._randomness)
        message = _decoded(cls, body, headers.get(CONTRACT, ""))
        if self._under_way >= self._limit:
            raise Unavailable(f"{self._limit} calls are under way; try again", retry_after=1.0)
        self._under_way += 1
        try:
            return Reply("answer", 200, encode(await self._delivered(message, context)))
        finally:
            self._under_way -= 1

    async def _delivered(self, message: Message, context: MessageContext) -> object:
        """The answer. A call may be sent again by whoever got none, so its id is always remembered."""
        if context.deadline is None:
            return await self._bus.deliver(message, context, repeatable=True)
        limit = asyncio.timeout(context.deadline.remaining(self._clock))
        try:
            async with limit:
                return await self._bus.deliver(message, context, repeatable=True)
        except TimeoutError as error:
            if not limit.expired():
                raise  # the handler's own
            raise DeadlineExceeded(f"{type(message).__name__} took longer than the caller waits") from error


def _decoded(cls: type[Message], body: bytes, contract: str) -> Message:
    """The message, as far as the caller's version of it fits ours: fields may have been added, with defaults."""
    if contract and contract.partition(":")[0] != contract_of(cls).partition(":")[0]:
        raise differing(cls, contract, "version= is another")
    try:
        message: Message = decoder(cls)(body)
    except MessageInvalid as error:
        if contract != contract_of(cls):
            raise differing(cls, contract, f"{error.path}: {error.reason}") from None
        raise
    return message
