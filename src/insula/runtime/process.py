"""One process of a system: the application, its HTTP face, signals, and how tools find it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from insula.adapters.asgi.application import HttpApplication
from insula.adapters.asgi.calls import Calls
from insula.adapters.asgi.exchange import CallerOf
from insula.adapters.asgi.server import check_address, serve
from insula.edge.headers import Headers
from insula.kernel.context import ANONYMOUS, Caller
from insula.kernel.ids import Uuid7
from insula.modules import System
from insula.runtime import presence
from insula.runtime.admin import Admin
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration
from insula.runtime.flagging import flags_of_process
from insula.runtime.part import Part

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

_log = logging.getLogger("insula.runtime")
_TOKEN_BITS = 256
_ONE_CTRL_C_SECONDS = 0.3


async def serve_system(
    system: System, configuration: Configuration, *, part: Part | None = None,
    announce: Callable[[str], None] = _log.info, tells_ready: bool = True,
) -> None:  # fmt: skip
    """Run a system and serve it over HTTP until SIGTERM or SIGINT; a second signal stops at once.

    Parameters: `part`, the process of a topology that this one is (default: the whole system); `announce` is called
    with a line for the user when the system is ready, unless `tells_ready` is False, and when it drains.
    Raises what `Application` raises, and `ConfigurationError` when the address cannot be used.
    """
    if part is not None:
        configuration = part.configuration
    check_address(configuration.http.host, configuration.http.port)  # before any file is migrated
    stopping = asyncio.Event()
    _handle_signals(stopping, announce)
    with flags_of_process(configuration):
        await _serve(system, configuration, part, stopping, announce, tells_ready=tells_ready)


async def _serve(
    system: System, configuration: Configuration, part: Part | None, stopping: asyncio.Event,
    announce: Callable[[str], None], *, tells_ready: bool,
) -> None:  # fmt: skip
    async with _application(system, configuration, part) as application:
        token = f"{application.randomness.bits(_TOKEN_BITS):064x}"
        face = http_face(application, token, stopping, part.call_token or None if part is not None else None)
        home = application.directory if part is None else part.home
        name = system.name if part is None else f"{system.name}: {part.name}"

        def ready(url: str) -> None:
            presence.write(home, presence.Presence(os.getpid(), url, token, "" if part is None else part.name))
            if tells_ready:
                announce(f"{name} is ready at {url}  (API at {url}/docs, data in {application.location})")

        try:
            await serve(
                face, host=configuration.http.host, port=configuration.http.port, stopping=stopping, on_ready=ready,
                drain_seconds=configuration.http.drain_seconds,
            )  # fmt: skip
        finally:
            presence.remove(home)
    announce(f"{name} has stopped")


def _application(system: System, configuration: Configuration, part: Part | None) -> Application:
    if part is None:
        return Application(system, configuration)
    return Application(system, configuration, surroundings=part.surroundings, only=part.modules)


def http_face(
    application: Application,
    token: str | None = None,
    stopping: asyncio.Event | None = None,
    call_token: str | None = None,
) -> HttpApplication:
    """The ASGI application of a running system.

    Parameters: `token` of its admin endpoint (default: there is none); `stopping`, from when on it is not ready;
    `call_token`, shared by the processes of a system, with which they call the modules of this one (default: none may).
    """
    http = application.configuration.http
    routes: list[BaseRoute] = [] if token is None else [*Admin(application, token).routes()]
    if call_token is not None:
        routes += _calls(application, call_token).routes()
    return HttpApplication(
        application.assembly,
        application.bus,
        ids=Uuid7(application.clock, application.randomness),
        caller_of=_caller_from(http.caller_header),
        body_limit_bytes=http.body_limit_bytes,
        requests_limit=http.requests_at_once,
        ready=lambda: application.ready and not (stopping is not None and stopping.is_set()),
        extra_routes=routes,
    )


def _calls(application: Application, token: str) -> Calls:
    here = {module.name for module in application.wired.modules}
    handled = application.assembly.handlers.items()
    served = {message.__message_name__: message for message, (module, _) in handled if module.name in here}
    return Calls(application.bus, served, application.clock, application.randomness, token)


def _caller_from(header: str) -> CallerOf | None:
    """Who asks, as a trusted proxy says in `header`; None when none is configured: everybody is anonymous."""
    if not header:
        return None

    def caller_of(headers: Headers) -> Caller:
        subject = headers.get(header)
        return Caller(subject) if subject else ANONYMOUS

    return caller_of


def _handle_signals(stopping: asyncio.Event, announce: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    first = 0.0

    def stop(number: signal.Signals) -> None:
        nonlocal first
        if stopping.is_set():
            if loop.time() < first + _ONE_CTRL_C_SECONDS:
                return  # from a terminal it reaches every process of the group, and a supervisor passes it on once more
            # What is committed is durable and what is not was never answered, so nothing is lost by going now.
            os._exit(128 + number)
        first = loop.time()
        announce("draining: finishing requests under way; a second signal stops at once")
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
