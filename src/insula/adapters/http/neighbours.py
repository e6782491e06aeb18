"""Calls modules that run in other processes over HTTP. Implements `Neighbours` of the runtime."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from insula.adapters.http.guard import NoAnswer, Unreachable, guarded
from insula.edge.remote import (
    CALL_PATH,
    CONTRACT,
    OUTCOME,
    MessageNotServed,
    Reply,
    contract_of,
    decode_failure,
    differing,
    headers_of,
)
from insula.kernel.clock import Clock
from insula.kernel.context import MessageContext
from insula.kernel.errors import ConfigurationError, DeadlineExceeded, Failure, Unavailable
from insula.messages import Message, MessageInvalid, decode_rejection, decoder, encode, result_type
from insula.resilience import BulkheadFull, CircuitOpen

if TYPE_CHECKING:
    from aiohttp import ClientSession

_log = logging.getLogger("insula.http")

_OUTCOMES = frozenset(("answer", "rejection", "failure"))


@dataclass(frozen=True, slots=True)
class Request:
    """One call, ready to be sent, and sent again: its message id makes it work once."""

    module: str
    name: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_seconds: float


Exchange = Callable[[Request], Awaitable[Reply]]


class HttpNeighbours:
    """Knows where each module runs, and keeps connections there.

    Parameters: `addresses`, module -> address of the process that runs it, such as "http://10.0.0.7:8000", or several,
    which take turns, and stand in for one that cannot be reached; `token`, which all processes of the system share;
    `timeout_seconds`, how long to wait for an answer where the caller has set no deadline (default 30); `connections`
    to each process (default 100); `around`, what is put around each exchange, such as retries and breakers (default:
    `guarded`).
    """

    def __init__(
        self,
        addresses: Mapping[str, str | Sequence[str]],
        token: str,
        clock: Clock,
        *,
        timeout_seconds: float = 30.0,
        connections: int = 100,
        around: Callable[[Exchange], Exchange] | None = None,
    ) -> None:
        if timeout_seconds <= 0:
            raise ConfigurationError(f"HttpNeighbours(timeout_seconds={timeout_seconds}): give more than 0")
        if connections < 1:
            raise ConfigurationError(f"HttpNeighbours(connections={connections}): give 1 or more")
        self._addresses = {
            module: deque([each] if isinstance(each, str) else each) for module, each in addresses.items()
        }
        self._authorization = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._connections = connections
        self._exchange: Exchange = (
            guarded(self._send, clock, places=connections) if around is None else around(self._send)
        )
        self._session: ClientSession | None = None

    async def call(self, module: str, message: Any, context: MessageContext) -> Any:
        """Let a module answer a command or query.

        Raises what it answers: its `Rejection`, its `Failure`; `Unavailable` where it cannot be reached,
        `DeadlineExceeded` where the time is over, `ContractDiffers` and `MessageNotServed` where versions do not fit.
        """
        cls = type(message)
        reply = await self._sent(module, cls, encode(message), context)
        if reply.outcome == "rejection":
            raise decode_rejection(reply.body, cls.__rejects__)
        try:
            return decoder(result_type(cls))(reply.body)
        except MessageInvalid as error:
            if reply.contract != contract_of(cls):
                raise differing(cls, reply.contract, f"the answer, {error.path}: {error.reason}") from None
            raise Failure(f"{module} answered {cls.__name__} with {reply.body!r:.80}: {error.reason}") from None

    async def _sent(self, module: str, cls: type[Message], body: bytes, context: MessageContext) -> Reply:
        """What the next process in turn answers, or the first after it that can be reached."""
        addresses = self._addresses.get(module)
        if not addresses:
            raise ConfigurationError(f"no address is known of the module {module}; add it to those of the topology")
        addresses.rotate(-1)
        *others, last = addresses
        for address in others:
            try:
                return await self._exchange(self._request(address, module, cls, body, context))
            except (Unreachable, CircuitOpen, BulkheadFull) as error:
                _log.info("%s; asking another process", error)
        return await self._exchange(self._request(last, module, cls, body, context))

    def _request(
        self, address: str, module: str, cls: type[Message], body: bytes, context: MessageContext
    ) -> Request:  # fmt: skip
        deadline, limit, name = context.deadline, self._timeout_seconds, cls.__message_name__
        if deadline is not None:
            limit = min(limit, deadline.remaining(self._clock))
            if limit <= 0:
                raise DeadlineExceeded(f"no time is left to call {name} of {module}")
        headers = {**self._authorization, **headers_of(cls, context, limit)}
        return Request(module, name, f"{address.rstrip('/')}{CALL_PATH}{name}", headers, body, limit)

    async def _send(self, request: Request) -> Reply:
        """One exchange, without a second attempt. Raises `Failure`s; a rejection is a reply like any other."""
        from aiohttp import ClientError, ClientTimeout

        try:
            async with (
                asyncio.timeout(request.timeout_seconds),
                self._open_session().post(
                    request.url, data=request.body, headers=request.headers, timeout=ClientTimeout(total=None),
                    allow_redirects=False,
                ) as response,
            ):  # fmt: skip
                body, headers, status = await response.read(), response.headers, response.status
        except TimeoutError:
            raise NoAnswer(
                f"{request.module} did not answer {request.name} in {request.timeout_seconds:g} s; it may still have "
                "happened"
            ) from None
        except (ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(f"{request.module} at {request.url} cannot be reached: {reason}") from error
        if status == 401:
            raise Failure(f"{request.module} at {request.url} refuses the token; all processes of a system share one")
        outcome = headers.get(OUTCOME)
        if outcome not in _OUTCOMES:
            if status == 404:
                raise MessageNotServed(f"{request.url} is not there: that process takes no calls")
            raise Unreachable(f"{request.module} at {request.url} answered {status}, and not as Insula does")
        if outcome == "failure":
            raise _failure(body, request.url)
        return Reply("answer" if outcome == "answer" else "rejection", status, body, headers.get(CONTRACT, ""))

    def _open_session(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, DummyCookieJar, TCPConnector

            connector = TCPConnector(limit=0, limit_per_host=self._connections)
            self._session = ClientSession(connector=connector, cookie_jar=DummyCookieJar())
        return self._session

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _failure(body: bytes, url: str) -> Failure:
    try:
        return decode_failure(body, url)
    except msgspec.MsgspecError as error:
        return Unavailable(f"{url} told of a failure that cannot be read: {error}")
