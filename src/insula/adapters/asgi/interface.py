"""The types of ASGI 3, and what the application needs from the rest of the system."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

from insula.kernel.context import Caller

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class MessageBus(Protocol):
    """Takes commands and queries to their handler and waits for the answer."""

    async def call(
        self,
        message: Any,
        /,
        *,
        message_id: str | None = None,
        caller: Caller = ...,
        timeout_seconds: float | None = None,
        traceparent: str | None = None,
        repeatable: bool = True,
    ) -> Any:
        """The handler's answer; `repeatable` False says that nobody can send this message id again.

        Raises Rejection where business says no, Failure where the machine failed.
        """
