"""Existing ASGI applications served under a path of the system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from insula.adapters.asgi.interface import Asgi, Receive, Scope, Send
from insula.adapters.asgi.lifespan import Lifespan
from insula.kernel.errors import ConfigurationError
from insula.modules.declaration import MountDeclaration

if TYPE_CHECKING:
    from starlette.routing import BaseRoute


class MountedApplication:
    """One mounted application with its own lifespan and the state which that left behind.

    Parameters: `declaration`, the application, its path and where it was mounted.
    """

    def __init__(self, declaration: MountDeclaration) -> None:
        self.path = declaration.path
        self.lifespan = Lifespan(declaration.application, f"the application of {declaration.place}")
        self._application: Asgi = declaration.application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Each request gets its own copy, as servers do for the outermost application (ASGI lifespan state).
        await self._application({**scope, "state": dict(self.lifespan.state)}, receive, send)


class Mounts:
    """Everything that is no route onto a message: mounted applications and the framework's further endpoints.

    Parameters: `declarations`, what modules mounted; the longest path wins; `extra_routes`, Starlette routes, tried
    first; `otherwise`, who answers the rest.
    """

    def __init__(
        self, declarations: Iterable[MountDeclaration], extra_routes: Sequence[BaseRoute], otherwise: Asgi
    ) -> None:
        # Starlette costs a tenth of a second to import, which a system without mounts need not pay.
        from starlette.routing import Match, Mount, Router

        self._applications = [MountedApplication(declaration) for declaration in declarations]
        by_length = sorted(self._applications, key=lambda application: -len(application.path))
        mounted = [Mount(application.path, application) for application in by_length]
        self._router = Router([*extra_routes, *mounted], default=otherwise)
        self._no_match = Match.NONE
        self._started: list[MountedApplication] = []

    def covers(self, scope: Scope) -> bool:
        """Whether something here answers that path."""
        return any(route.matches(scope)[0] is not self._no_match for route in self._router.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)

    async def start(self) -> None:
        """Start the mounted applications in the order declared.

        Raises ConfigurationError if one refuses, after those that had started are stopped.
        """
        for application in self._applications:
            try:
                await application.lifespan.start()
            except ConfigurationError:
                await self.stop()
                raise
            self._started.append(application)

    async def stop(self) -> None:
        """Stop them, last started first. Raises ConfigurationError for the first that failed to stop."""
        failure: ConfigurationError | None = None
        while self._started:
            try:
                await self._started.pop().lifespan.stop()
            except ConfigurationError as error:
                failure = failure or error
        if failure is not None:
            raise failure
