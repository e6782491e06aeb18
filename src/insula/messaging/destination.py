"""The port of where an outbox is emptied to: a broker, a task queue or a service that takes one message at a time."""

from __future__ import annotations

from typing import Protocol

from insula.kernel.errors import InsulaError
from insula.messages import Envelope


class Refused(InsulaError):
    """A destination does not take this message, however often it is sent; somebody has to look at it."""


class Destination(Protocol):
    """Takes messages. Messages of one key are sent one after the other, each when the one before it was taken."""

    @property
    def address(self) -> str:
        """Where it is, without secrets, for people."""
        ...

    @property
    def concurrency(self) -> int:
        """How many messages, each of another key, may be on their way at a time."""
        ...

    async def open(self) -> None:
        """See whether it can be used. Raises `Unavailable`; ConfigurationError where waiting will not help."""
        ...

    async def send(self, message: Envelope) -> None:
        """Hand a message over; when this returns, it is kept there or has been dealt with.

        The same message may be sent again, with the same id. Raises `Unavailable` where nothing can be taken at the
        moment, `Refused` where this message never will be; any other error is taken for this message's own, which may
        pass. Takes no longer than some seconds.
        """
        ...

    async def close(self) -> None:
        """Let go. Harmless when it is not open."""
        ...
