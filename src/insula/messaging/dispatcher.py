"""Runs the handlers of one module: ports in, one unit of work around, answers out."""

from __future__ import annotations

from collections.abc import Callable, Container, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from insula.kernel.clock import Clock
from insula.kernel.context import Caller, Context, MessageContext
from insula.kernel.errors import Failure, Rejection
from insula.messages import MessageInvalid, decode_rejection, decoder, encode, encode_rejection, result_type
from insula.messaging.outgoing import OutgoingMessages
from insula.modules import HandlerDeclaration
from insula.store.database import Answer, Database, Duplicate, Mark, Outcome, Scope
from insula.store.errors import MessageIdReused
from insula.store.unit_of_work import SyncUnitOfWork, UnitOfWork

Port = Callable[["Invocation"], Any]


@dataclass(slots=True)
class Invocation:
    """One run of a handler: the unit it works in and the message's context."""

    unit: Any
    context: MessageContext
    handler: Handler


class Handler:
    """A declared handler with its ports resolved, ready to run.

    Parameters: `declaration`; `ports`, how to supply each port type to an invocation; `module`, the owner's name.
    """

    __slots__ = (
        "answers",
        "consumer",
        "declaration",
        "decode",
        "function",
        "is_async",
        "is_plain_query",
        "module",
        "name",
        "place",
        "ports",
        "rejects",
    )  # fmt: skip

    def __init__(self, module: str, declaration: HandlerDeclaration, ports: Mapping[Any, Port]) -> None:
        self.module = module
        self.declaration = declaration
        self.function = declaration.function
        self.is_async = declaration.is_async
        self.name = declaration.name
        self.consumer = declaration.consumer
        self.place = f"{declaration.name} ({declaration.place.file.rpartition('/')[2]}:{declaration.place.line})"
        self.ports = tuple(ports[parameter.annotation] for parameter in declaration.ports)
        # Nothing that such a handler sees depends on the message's context, so a query's need not be made.
        self.is_plain_query = declaration.kind == "query" and not any(
            parameter.annotation not in _PLAIN for parameter in declaration.ports
        )
        message = declaration.message
        asked = declaration.kind in ("command", "query")
        self.decode = decoder(message or type(None))
        self.answers = decoder(result_type(message)) if asked and message is not None else decoder(None)
        self.rejects = message.__rejects__ if asked and message is not None else ()

    def checked_answer(self, value: Any) -> bytes:
        """The answer as JSON that can be read again, since it will be repeated. Raises AnswerInvalid."""
        body = encode(value)
        self._read_again(body, value)
        return body

    def over_the_wire(self, value: Any) -> Any:
        """The answer as a caller elsewhere would get it. Raises AnswerInvalid."""
        return self._read_again(encode(value), value)

    def _read_again(self, body: bytes, value: Any) -> Any:
        try:
            return self.answers(body)
        except MessageInvalid as error:
            raise AnswerInvalid(f"{self.place} answered {value!r:.80}: {error.reason}") from None


class AnswerInvalid(Failure):
    """What a handler answered is not of the type its message declares."""


class Dispatcher:
    """Runs the handlers of one module on its database.

    Parameters: `handled`, the commands that somebody takes, which may be sent (default: all may be).
    """

    def __init__(
        self, module: str, database: Database, clock: Clock, handled: Container[type[Any]] | None = None
    ) -> None:
        self.module = module
        self.database = database
        self._clock = clock
        self._handled = handled

    def run(
        self, handler: Handler, message: Any, context: MessageContext, mark: Mark | None, scope: Scope | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Run a handler that may write. Raises `Duplicate` when the mark was there before.

        Parameters: `message`, None for a schedule; `mark`, None when nobody can send the message again.
        """
        scope = scope or Scope(handler.place)
        scope.context = context
        scope.departure = OutgoingMessages(
            self.module, handler.consumer, context, self._clock, self._handled, handler.name
        )
        scope.mark = mark
        first = () if message is None else (message,)

        def call(unit: Any) -> Any:
            invocation = Invocation(unit, context, handler)
            return handler.function(*first, *[port(invocation) for port in handler.ports])

        if handler.is_async:
            return self.database.perform(call, scope)
        return self.database.perform_in_thread(call, scope)

    async def command(self, handler: Handler, message: Any, context: MessageContext, mark: Mark | None) -> Any:
        """Run a command; the same id is answered alike for ever, and works once."""
        scope = Scope(handler.place, answer=handler.checked_answer, reject=_encoded)
        try:
            if mark is not None:
                known = await self.database.answer_of(mark)
                if known is not None:
                    raise Duplicate(known)
            return await self.run(handler, message, context, mark, scope)
        except Duplicate as before:
            return self._repeated(handler, before.answer, mark)

    def sent(
        self, handler: Handler, message: Any, context: MessageContext, mark: Mark, scope: Scope
    ) -> Coroutine[Any, Any, Any]:
        """Run a durable command: its answer, yes or no, is kept with the mark."""
        scope.answer, scope.reject = handler.checked_answer, _encoded
        return self.run(handler, message, context, mark, scope)

    def _repeated(self, handler: Handler, answer: Answer, mark: Mark | None) -> Any:
        if mark is not None and mark.fingerprint != answer.fingerprint:
            raise MessageIdReused(
                f"message {mark.message_id} was sent to {handler.place} before with other content; use a new "
                "id (Idempotency-Key) for a new command"
            )
        if answer.outcome is Outcome.REJECTED:
            raise decode_rejection(answer.body, handler.rejects)
        if not answer.body:
            return None
        try:
            return handler.answers(answer.body)
        except MessageInvalid as error:
            raise AnswerInvalid(f"{handler.place} answered before what its result cannot be: {error}") from None

    async def query(self, handler: Handler, message: Any, context: MessageContext) -> Any:
        """Run a query: read-only, beside the writer."""
        if handler.is_async:
            if not handler.ports:
                return await handler.function(message)
            unit = self.database.reading(handler.place)
            invocation = Invocation(unit, context, handler)
            return await handler.function(message, *[port(invocation) for port in handler.ports])

        def call(unit: Any) -> Any:
            invocation = Invocation(unit, context, handler)
            return handler.function(message, *[port(invocation) for port in handler.ports])

        return await self.database.read_in_thread(call, handler.place)


_PLAIN: frozenset[Any] = frozenset((UnitOfWork, SyncUnitOfWork, Clock))
NO_CONTEXT = MessageContext("", "")
"""Stands for the context of a query whose handler cannot see it."""


def _encoded(rejection: Exception) -> bytes:
    if not isinstance(rejection, Rejection):
        raise TypeError(f"{rejection!r} is no Rejection")
    return encode_rejection(rejection)


def framework_ports(clock: Clock) -> dict[Any, Port]:
    """How the framework's own ports are supplied, but for `Ask`, which the bus supplies."""
    return {
        UnitOfWork: lambda invocation: invocation.unit,
        SyncUnitOfWork: lambda invocation: invocation.unit,
        Context: lambda invocation: Context(invocation.context, clock),
        Caller: lambda invocation: invocation.context.caller,
        Clock: lambda _: clock,
    }
