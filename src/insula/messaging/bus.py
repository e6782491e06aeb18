"""The bus: `call` waits for the answer of whoever handles the message; `Ask` is its read-only half for handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeVar, overload

from insula.kernel.clock import Clock
from insula.kernel.context import ANONYMOUS, Caller, MessageContext, TraceContext
from insula.kernel.deadline import Deadline, ambient_deadline, earliest_deadline, leave_deadline
from insula.kernel.errors import DeadlineExceeded
from insula.kernel.ids import IdSource
from insula.kernel.randomness import Randomness
from insula.messages import Command, Message, Query, encode, kind_of
from insula.messages.content import digest_of
from insula.messaging.dispatcher import NO_CONTEXT, Dispatcher, Handler, Invocation
from insula.messaging.outgoing import NobodyHandles
from insula.store.database import Mark
from insula.store.errors import AskedWhileWriting

R = TypeVar("R")
Fidelity = Literal["direct", "wire"]
Elsewhere = Callable[[Any, MessageContext], Awaitable[Any]]


class Bus:
    """Delivers commands and queries to their one handler and returns its answer.

    Parameters: `handlers`, by message class, each with the dispatcher of its module; `fidelity`, "wire" encodes and
    decodes even local calls (the default in tests), "direct" (the default otherwise) hands the message over.
    """

    def __init__(
        self,
        handlers: Mapping[type[Message], tuple[Dispatcher, Handler]],
        clock: Clock,
        ids: IdSource,
        randomness: Randomness,
        *,
        fidelity: Fidelity = "direct",
    ) -> None:
        self._handlers = handlers
        self._clock = clock
        self._ids = ids
        self._randomness = randomness
        self._wire = fidelity == "wire"
        self._elsewhere: dict[type[Message], Elsewhere] = {}

    @overload
    async def call(
        self, message: Command[R], *, message_id: str | None = None, caller: Caller = ANONYMOUS,
        timeout_seconds: float | None = None, traceparent: str | None = None, repeatable: bool = True,
    ) -> R: ...  # fmt: skip

    @overload
    async def call(
        self, message: Query[R], *, message_id: str | None = None, caller: Caller = ANONYMOUS,
        timeout_seconds: float | None = None, traceparent: str | None = None, repeatable: bool = True,
    ) -> R: ...  # fmt: skip

    async def call(
        self,
        message: Any,
        *,
        message_id: str | None = None,
        caller: Caller = ANONYMOUS,
        timeout_seconds: float | None = None,
        traceparent: str | None = None,
        repeatable: bool = True,
    ) -> Any:
        """Send a command or query and wait for its answer.

        Parameters: `message_id`, UUID text that makes a command idempotent: the same id is answered alike and works
        once (default: a new one); `timeout_seconds`, how long the caller waits (default: no limit);
        `traceparent`, W3C trace context of the caller; `repeatable` False says that nobody can send this message id
        again, so that it need not be remembered.
        Raises the handler's `Rejection`, `DeadlineExceeded`, `NobodyHandles`, and other `Failure`s.
        """
        found = self._handlers.get(type(message))
        if found is not None and timeout_seconds is None and found[1].is_plain_query and not self._elsewhere:
            return await self._plain(message, *found)
        identifier = message_id or self._ids.new()
        trace = None if traceparent is None else TraceContext.parse(traceparent)
        trace = TraceContext.of_message(identifier) if trace is None else trace.child(self._randomness)
        if timeout_seconds is None:
            context = MessageContext(identifier, identifier, None, caller, trace, earliest_deadline())
            return await self.deliver(message, context, repeatable=repeatable and message_id is not None)
        deadline = earliest_deadline(Deadline.after(timeout_seconds, self._clock))
        context = MessageContext(identifier, identifier, None, caller, trace, deadline)
        limit = asyncio.timeout(timeout_seconds)
        try:
            async with limit:
                return await self.deliver(message, context, repeatable=repeatable and message_id is not None)
        except TimeoutError as error:
            if not limit.expired():
                raise  # the handler's own
            name = type(message).__name__
            raise DeadlineExceeded(
                f"{name} took longer than {timeout_seconds:g} s; it may still have happened"
            ) from error

    async def _plain(self, message: Any, dispatcher: Dispatcher, handler: Handler) -> Any:
        """The short way of a query whose handler takes no ports that show where the message comes from."""
        if self._wire:
            message = handler.decode(encode(message))
        answer = await dispatcher.query(handler, message, NO_CONTEXT)
        return handler.over_the_wire(answer) if self._wire else answer

    async def deliver(self, message: Any, context: MessageContext, *, repeatable: bool = False) -> Any:
        """Hand a message to its handler under a given context, whose deadline limits all that the handler does."""
        if context.deadline is not None and context.deadline.at != ambient_deadline.get():
            return await self._deliver_in_time(message, context, context.deadline, repeatable)
        cls = type(message)
        elsewhere = self._elsewhere.get(cls)
        if elsewhere is not None:
            return await elsewhere(message, context)
        found = self._handlers.get(cls)
        if found is None:
            raise NobodyHandles(
                f"no module handles {cls.__name__}; add a handler, or its module to the System; in a test "
                f"`scenario.stub({cls.__name__}, answer)` stands in for it"
            )
        dispatcher, handler = found
        if self._wire:
            message = handler.decode(encode(message))
        if handler.declaration.kind == "query":
            answer = await dispatcher.query(handler, message, context)
        else:
            mark = None
            if repeatable:
                mark = Mark(handler.consumer, context.message_id, fingerprint=digest_of(message))
            answer = await dispatcher.command(handler, message, context, mark)
        return handler.over_the_wire(answer) if self._wire else answer

    async def _deliver_in_time(
        self, message: Any, context: MessageContext, deadline: Deadline, repeatable: bool
    ) -> Any:
        token = ambient_deadline.set(deadline.at)
        try:
            return await self.deliver(message, context, repeatable=repeatable)
        finally:
            leave_deadline(token)

    def redirect(self, message: type[Message], elsewhere: Elsewhere) -> None:
        """Let `elsewhere` answer a message: the process where its handler runs, or a stub."""
        self._elsewhere[message] = elsewhere

    def asking(self, invocation: Invocation) -> Ask:
        """The `Ask` port of one run of a handler."""
        return Ask(self, invocation, self._ids)


class Ask:
    """The port through which a handler reads from other modules: `prices = await ask(GetPrices(skus=skus))`.

    Ask before the first statement: `AskedWhileWriting` otherwise, since a writer is never held across a call.
    Raises the other handler's `Rejection`.
    """

    __slots__ = ("_bus", "_ids", "_invocation")

    def __init__(self, bus: Bus, invocation: Invocation, ids: IdSource) -> None:
        self._bus = bus
        self._invocation = invocation
        self._ids = ids

    async def __call__(self, query: Query[R]) -> R:
        """Wait for the answer to a query."""
        invocation, context = self._invocation, self._invocation.context
        if kind_of(type(query)) != "query":
            raise TypeError(
                f"{invocation.handler.place} asks {type(query).__name__}; ask takes a Query: "
                "what changes something is sent, `work.send(...)`"
            )
        writing = getattr(invocation.unit, "writing", None)
        if writing is not None:
            raise AskedWhileWriting(
                f"{invocation.handler.place} asked {type(query).__name__} after its first statement ({writing}). "
                "Ask first, then write"
            )
        own = MessageContext(
            self._ids.new(), context.correlation_id, context.message_id, context.caller, context.trace,
            earliest_deadline(context.deadline),
        )  # fmt: skip
        answer: R = await self._bus.deliver(query, own)
        return answer
