"""The lifespan of an ASGI application: start it, stop it (ASGI lifespan protocol 2.0)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from insula.adapters.asgi.interface import Asgi, Event
from insula.kernel.errors import ConfigurationError

logger = logging.getLogger("insula.http")


class Lifespan:
    """Runs one application's start-up and shutdown, both in one task as its context managers expect.

    Parameters: `application`; `name`, for error messages. `state` holds what its start-up left for its requests.
    An application that knows no lifespan has nothing to start, and that is fine.
    """

    def __init__(self, application: Asgi, name: str) -> None:
        self._application = application
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._outcome: asyncio.Future[Event] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Start the application. Raises ConfigurationError with its reason if it refuses to start."""
        task = asyncio.create_task(self._run(), name=f"lifespan of {self._name}")
        outcome = await self._step("lifespan.startup", task)
        if outcome is None:
            return
        if outcome["type"] == "lifespan.startup.failed":
            await asyncio.wait([task])
            raise ConfigurationError(f"{self._name} refused to start: {self._reason(outcome)}")
        self._task = task

    async def stop(self) -> None:
        """Stop the application, if it was started. Raises ConfigurationError with its reason if that fails."""
        task, self._task = self._task, None
        if task is None or task.done():
            return
        outcome = await self._step("lifespan.shutdown", task)
        await asyncio.wait([task])
        if outcome is not None and outcome["type"] == "lifespan.shutdown.failed":
            raise ConfigurationError(f"{self._name} failed to stop: {self._reason(outcome)}")

    async def _step(self, event: str, task: asyncio.Task[None]) -> Event | None:
        """Hand over one event; the answer, or None if the application ended without one."""
        outcome: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._outcome = outcome
        self._events.put_nowait({"type": event})
        either: list[asyncio.Future[Any]] = [task, outcome]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return outcome.result() if outcome.done() else None

    def _reason(self, outcome: Event) -> str:
        """The last line of what the application said; frameworks send a whole traceback, which goes to the log."""
        lines = str(outcome.get("message", "")).strip().splitlines() or ["it gave no reason"]
        if len(lines) > 1:
            logger.error("%s: %s", self._name, "\n".join(lines))
        return lines[-1]

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._events.get, self._send)
        except Exception as error:
            # The protocol's way to say "not supported"; a real failure sends lifespan.startup.failed first.
            logger.debug("%s takes no part in the lifespan: %r", self._name, error)

    async def _send(self, event: Event) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(event)
