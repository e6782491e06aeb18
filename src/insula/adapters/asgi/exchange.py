"""One request to an endpoint: read, decode, call the handler, answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qsl

from insula.adapters.asgi.body import ClientGone, read_body
from insula.adapters.asgi.interface import MessageBus, Receive, Scope, Send
from insula.edge.endpoint import STATUSES_WITHOUT_BODY, Endpoint
from insula.edge.headers import Headers
from insula.edge.idempotency import key_of_request, message_id_of
from insula.edge.options import check_content_type, timeout_of_request, traceparent_of_request
from insula.edge.problem import MEDIA_TYPE, Problem, RequestRefused, problem_of, refuse
from insula.kernel.context import ANONYMOUS, Caller
from insula.kernel.errors import Failure, Rejection, Unavailable
from insula.kernel.ids import IdSource
from insula.messages.codec import MessageInvalid, encode
from insula.messages.message import Message

logger = logging.getLogger("insula.http")

RawHeader = tuple[bytes, bytes]
CallerOf = Callable[[Headers], Caller]

MESSAGE_ID = b"insula-message-id"

_JSON = b"application/json"
_JSON_HEADER: RawHeader = (b"content-type", _JSON)
_PROBLEM_HEADER: RawHeader = (b"content-type", MEDIA_TYPE.encode())
_EMPTY_HEADER: RawHeader = (b"content-length", b"0")
_LARGEST_QUERY = 1000
_RETRY_SECONDS = 1.0

REQUESTS_LIMIT = 1000
"""Requests under way at once; more are turned away, so that those taken are answered in time."""


async def respond(send: Send, status: int, headers: list[RawHeader], body: bytes) -> None:
    """Send one whole response."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond_problem(scope: Scope, send: Send, problem: Problem, *more: RawHeader) -> None:
    """Send a problem document; to HEAD its headers only."""
    body = problem.encode()
    headers = [_PROBLEM_HEADER, (b"content-length", b"%d" % len(body)), *more]
    headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers]
    await respond(send, problem.status, headers, b"" if scope["method"] == "HEAD" else body)


class Exchange:
    """Carries requests to handlers and their answers back.

    Parameters: `bus`; `ids`, for commands without an idempotency key; `caller_of`, who asks, from the headers, None for
    ANONYMOUS always; it may raise a Rejection; `body_limit_bytes`, the longest body taken;
    `requests_limit`, how many may be under way at once, more get 503 with Retry-After.
    """

    def __init__(
        self,
        bus: MessageBus,
        ids: IdSource,
        caller_of: CallerOf | None,
        body_limit_bytes: int,
        requests_limit: int = REQUESTS_LIMIT,
    ) -> None:
        self._call = bus.call
        self._new_id = ids.new
        self._caller_of = caller_of
        self._body_limit_bytes = body_limit_bytes
        self._requests_limit = requests_limit
        self._under_way = 0

    async def answer(
        self, endpoint: Endpoint, path_values: Sequence[str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request; `path_values` are the values of the endpoint's path parameters.

        Only requests whose body has arrived count as under way, so that slow senders keep nobody else out.
        """
        message_id = ""
        try:
            raw = scope["headers"]
            headers: dict[bytes, bytes] = dict(raw)
            caller = ANONYMOUS if self._caller_of is None else self._caller_of(Headers(raw))
            message_id = self._message_id(endpoint, caller, headers, scope)
            body = b""
            if endpoint.plan.reads_body:
                body = await read_body(receive, headers.get(b"content-length"), self._body_limit_bytes)
            message = _decode(endpoint, path_values, headers, scope["query_string"], body)
            if self._under_way >= self._requests_limit:
                raise Unavailable(
                    f"{self._requests_limit} requests are under way; try again", retry_after=_RETRY_SECONDS
                )
            self._under_way += 1
            try:
                result = await self._called(message, message_id, caller, headers, scope)
            finally:
                self._under_way -= 1
            body = _encoded(endpoint, result) if endpoint.has_answer else b""
        except ClientGone:
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            cancelled = Failure(f"{endpoint.name} awaited something that was cancelled")
            await self._answer_error(cancelled, endpoint, message_id, scope, send)
            return
        except Exception as error:
            await self._answer_error(error, endpoint, message_id, scope, send)
            return
        if endpoint.has_answer:
            answer_headers = [_JSON_HEADER, (b"content-length", b"%d" % len(body))]
            if scope["method"] == "HEAD":
                body = b""
        else:
            answer_headers = [] if endpoint.status in STATUSES_WITHOUT_BODY else [_EMPTY_HEADER]
        if endpoint.is_command:
            answer_headers.append((MESSAGE_ID, message_id.encode("ascii")))
        await send({"type": "http.response.start", "status": endpoint.status, "headers": answer_headers})
        await send({"type": "http.response.body", "body": body})

    def _message_id(self, endpoint: Endpoint, caller: Caller, headers: dict[bytes, bytes], scope: Scope) -> str:
        if endpoint.is_command and b"idempotency-key" in headers:
            key = key_of_request(_all(scope, b"idempotency-key"))
            return message_id_of(endpoint.message.__message_name__, caller.subject, key)
        return self._new_id()

    def _called(
        self, message: Message, message_id: str, caller: Caller, headers: dict[bytes, bytes], scope: Scope
    ) -> Awaitable[object]:
        repeatable = b"idempotency-key" in headers
        if not (b"traceparent" in headers or b"request-timeout" in headers or b"x-request-timeout" in headers):
            return self._call(message, message_id=message_id, caller=caller, repeatable=repeatable)
        traceparent: str | None = None
        timeout_seconds: float | None = None
        if b"traceparent" in headers:
            traceparent = traceparent_of_request(_all(scope, b"traceparent"))
        for name in (b"request-timeout", b"x-request-timeout"):
            if name in headers:
                timeout_seconds = timeout_of_request(_all(scope, name))
                break
        return self._call(
            message,
            message_id=message_id,
            caller=caller,
            timeout_seconds=timeout_seconds,
            traceparent=traceparent,
            repeatable=repeatable,
        )

    async def _answer_error(
        self, error: Exception, endpoint: Endpoint, message_id: str, scope: Scope, send: Send
    ) -> None:
        problem = problem_of(error)
        if isinstance(error, Failure):
            logger.warning("%s failed (message %s): %s: %s", endpoint.name, message_id, type(error).__name__, error)
        elif not isinstance(error, (Rejection, RequestRefused)):
            logger.error("%s failed (message %s)", endpoint.name, message_id, exc_info=error)
        more: tuple[RawHeader, ...] = ()
        if message_id:
            problem = problem.with_instance(message_id)
            more = ((MESSAGE_ID, message_id.encode("ascii")),) if endpoint.is_command else ()
        await respond_problem(scope, send, problem, *more)


def _encoded(endpoint: Endpoint, result: object) -> bytes:
    """The answer as JSON of the type that the API documents. A command's was checked before its commit."""
    body = encode(result)
    if not endpoint.is_command:
        try:
            endpoint.read_answer(body)
        except MessageInvalid as error:
            where = f"{error.path}: {error.reason}" if error.path else error.reason
            raise Failure(f"{endpoint.name} answered {result!r:.80}, which is no {error.message}: {where}") from None
    return body


def _decode(
    endpoint: Endpoint, path_values: Sequence[str], headers: dict[bytes, bytes], query_string: bytes, body: bytes
) -> Message:
    if body:
        content_type = headers.get(b"content-type")
        if content_type != _JSON:
            check_content_type(None if content_type is None else content_type.decode("latin-1"))
    return endpoint.plan.decode(path_values, _parse_query(query_string) if query_string else (), body)


def _all(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _parse_query(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=_LARGEST_QUERY)
    except ValueError:
        raise refuse(400, "QueryTooLong", f"The query has more than {_LARGEST_QUERY} parameters.") from None
