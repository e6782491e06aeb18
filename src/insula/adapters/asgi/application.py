"""The system as one ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from insula.adapters.asgi import pages
from insula.adapters.asgi.exchange import REQUESTS_LIMIT, CallerOf, Exchange, respond, respond_problem
from insula.adapters.asgi.interface import Asgi, MessageBus, Receive, Scope, Send
from insula.adapters.asgi.mounts import Mounts
from insula.edge.endpoint import endpoints_of
from insula.edge.openapi import document_of
from insula.edge.problem import TITLES, Problem, problem_of, refuse
from insula.edge.router import RouteTable, segments_of
from insula.kernel.errors import ConfigurationError
from insula.kernel.ids import IdSource
from insula.messages.codec import encode
from insula.modules.assembly import Assembly

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

BODY_LIMIT_BYTES = 1_048_576


class HttpApplication:
    """Serves the routes of a system over HTTP, and what its modules mounted.

    Parameters: `assembly`, the system; `bus`, which takes messages to handlers; `ids`, for message ids;
    `caller_of`, who asks, from the headers (default: ANONYMOUS); it may raise a Rejection, such as one with status 401;
    `body_limit_bytes`, the longest body taken (default 1 MiB);
    `requests_limit`, how many may be under way at once (default 1000); `version` of the API, for its document;
    `alive` and `ready`, asked by `/_insula/health` and `/_insula/ready`, which answer 503 for False;
    `extra_routes`, Starlette routes to serve beside (admin, dashboard), behind the system's own;
    `documentation`, whether `/docs` and `/openapi.json` are served (default True).
    """

    def __init__(
        self,
        assembly: Assembly,
        bus: MessageBus,
        *,
        ids: IdSource,
        caller_of: CallerOf | None = None,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
        requests_limit: int = REQUESTS_LIMIT,
        version: str = "1",
        alive: Callable[[], bool] = lambda: True,
        ready: Callable[[], bool] = lambda: True,
        extra_routes: Sequence[BaseRoute] = (),
        documentation: bool = True,
    ) -> None:
        self._table = RouteTable(endpoints_of(assembly.routes))
        self._exact = self._table.exact
        self._answer = Exchange(bus, ids, caller_of, body_limit_bytes, requests_limit).answer
        self._pages: dict[str, Asgi] = {
            pages.ALIVE_PATH: pages.health_page(alive, "alive", "failed"),
            pages.READY_PATH: pages.health_page(ready, "ready", "not ready"),
        }
        if documentation:
            document = document_of(self._table.endpoints, title=assembly.system.name, version=version)
            self._pages[pages.DOCUMENT_PATH] = pages.document_page(encode(document))
            self._pages[pages.DOCS_PATH] = pages.docs_page()
        mounted = [declaration for _, declaration in assembly.mounts]
        self._mounts = Mounts(mounted, extra_routes, self._not_found) if mounted or extra_routes else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection, as ASGI 3 asks."""
        kind = scope["type"]
        if kind == "http":
            endpoint = self._exact.get((scope["method"], scope["path"]))
            if endpoint is None or scope.get("root_path"):
                await self._route(scope, receive, send)
            else:
                await self._answer(endpoint, (), scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        elif self._mounts is not None:
            await self._mounts(scope, receive, send)
        else:
            await self._not_found(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _own_path(scope)
        try:
            segments = _segments(scope, path)
        except UnicodeDecodeError:
            await respond_problem(scope, send, problem_of(refuse(400, "PathInvalid", "The path is no UTF-8.")))
            return
        found = self._table.find(scope["method"], segments)
        if found is not None:
            await self._answer(found[0], found[1], scope, receive, send)
            return
        methods = self._table.methods(segments)
        page = None if methods else self._pages.get(path)
        if page is not None and scope["method"] in ("GET", "HEAD"):
            await page(scope, receive, send)
        elif self._mounts is not None and page is None and (not methods or self._mounts.covers(scope)):
            # An application mounted at "/" keeps what the system's routes have not taken over yet.
            await self._mounts(scope, receive, send)
        else:
            await self._refuse_method(methods or (("GET", "HEAD", "OPTIONS") if page else ()), scope, receive, send)

    async def _refuse_method(self, methods: Sequence[str], scope: Scope, receive: Receive, send: Send) -> None:
        allowed = ", ".join(methods)
        if not methods:
            await self._not_found(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await respond(send, 204, [(b"allow", allowed.encode())], b"")
        else:
            detail = f"{scope['path']} does not answer {scope['method']}; it answers {allowed}."
            await respond_problem(
                scope, send, Problem(405, "MethodNotAllowed", TITLES[405], detail, headers=(("allow", allowed),))
            )

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        detail = f"Nothing is served at {scope['path']}."
        await respond_problem(scope, send, Problem(404, "NotFound", TITLES[404], detail))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            if self._mounts is not None:
                await self._mounts.start()
        except ConfigurationError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            if self._mounts is not None:
                await self._mounts.stop()
        except ConfigurationError as error:
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})


def _own_path(scope: Scope) -> str:
    """The path below the one that the application itself is served under."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) or "/" if root else path


def _segments(scope: Scope, path: str) -> list[str]:
    """The parts between the slashes; quoted ones are unquoted after the split, so that a value may hold a slash."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%" not in raw:
        return segments_of(path)
    raw_path = raw.partition(b"?")[0].decode("latin-1")
    own = raw_path.removeprefix(scope.get("root_path", ""))
    return [unquote(segment, errors="strict") for segment in segments_of(own)]
