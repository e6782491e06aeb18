"""What a handler publishes and sends, turned into envelopes with stable ids."""

from __future__ import annotations

from collections.abc import Container
from datetime import timedelta
from typing import Any

from insula.kernel.clock import Clock
from insula.kernel.context import MessageContext
from insula.kernel.errors import Failure, InsulaError
from insula.kernel.ids import derive
from insula.messages import Envelope, EnvelopeKind, Event, MessageInvalid, decoder, encode, key_of, kind_of
from insula.store.database import Timer


class NobodyHandles(InsulaError):
    """No module of the system handles this message."""


class OutgoingInvalid(Failure):
    """What a handler publishes or sends does not fit the types that the message declares."""


def encoded(message: Any, place: str) -> bytes:
    """The message as JSON that can be read again: types are only checked by decoding, and later is too late.

    Parameters: `place`, who lets it out, for the error. Raises `OutgoingInvalid`.
    """
    data = encode(message)
    try:
        decoder(type(message))(data)
    except MessageInvalid as error:
        where = f"{error.path}: {error.reason}" if error.path else error.reason
        raise OutgoingInvalid(f"{place}: {type(message).__name__} does not fit its types: {where}") from None
    return data


class OutgoingMessages:
    """Collects during one run of a handler. Implements `Departure`.

    Parameters: `consumer`, whom ids are derived for; `place` of the handler, for errors; `handled`, the commands that
    somebody takes (default: nobody knows, so all may be sent).

    Ids are derived from the handled message, the consumer and a count, so a handler that runs again publishes
    the same ids again.
    """

    __slots__ = ("_clock", "_consumer", "_context", "_count", "_handled", "_module", "_place", "envelopes", "timers")

    def __init__(
        self,
        module: str,
        consumer: str,
        context: MessageContext,
        clock: Clock,
        handled: Container[type[Any]] | None = None,
        place: str = "",
    ) -> None:
        self._module = module
        self._consumer = consumer
        self._place = place or consumer
        self._context = context
        self._clock = clock
        self._handled = handled
        self._count = 0
        self.envelopes: list[Envelope] = []
        self.timers: list[Timer] = []

    def reset(self) -> None:
        """Forget everything: the handler runs again."""
        if self._count:
            self._count = 0
            self.envelopes, self.timers = [], []

    @property
    def single(self) -> bool:
        """Whether exactly one row leaves, which is written by one statement."""
        return self._count == 1

    def publish(self, event: Event) -> None:
        """Leave with the commit."""
        if not isinstance(event, Event):
            raise TypeError(f"publish takes an Event, not {type(event).__name__}; commands are sent")
        self.envelopes.append(self._envelope(event, "event"))

    def send(self, command: Any, *, delay: timedelta | None = None) -> None:
        """Leave with the commit, or enter the log after `delay`."""
        if kind_of(type(command)) != "command":
            raise TypeError(f"send takes a Command, not {type(command).__name__}; events are published")
        if delay is not None and not isinstance(delay, timedelta):
            raise TypeError(
                f"{self._place}: send({type(command).__name__}, delay={delay!r}): delay is a timedelta, such as "
                "timedelta(seconds=5)"
            )
        if self._handled is not None and type(command) not in self._handled:
            # A sent command waits in the log for its handler: without one it would be lost and nobody told.
            raise NobodyHandles(
                f"{self._place} sends {type(command).__name__}, which no module of the system handles; add a "
                "handler, or its module to the System"
            )
        envelope = self._envelope(command, "command", delay)
        if delay is None:
            self.envelopes.append(envelope)
        else:
            self.timers.append(Timer(envelope.id, self._clock.now() + delay, envelope))

    def _envelope(self, message: Any, kind: EnvelopeKind, delay: timedelta | None = None) -> Envelope:
        self._count += 1
        context, cls, now = self._context, type(message), self._clock.now()
        expires = cls.__expires__
        return Envelope(
            id=derive(context.message_id, f"{self._consumer}/{self._count}"),
            source=self._module,
            type=cls.__message_name__,
            kind=kind,
            version=cls.__version__,
            subject=key_of(message),
            time=now,
            data=encoded(message, self._place),
            correlation_id=context.correlation_id,
            causation_id=context.message_id,
            traceparent=None if context.trace is None else context.trace.format(),
            caller=context.caller.subject,
            expires_at=None if expires is None else now + expires + (delay or timedelta()),
        )
