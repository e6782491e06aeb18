"""Takes messages for the consumers of one module: once each, in order per key, parking what fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

from insula.kernel.clock import Clock
from insula.kernel.context import Caller, MessageContext, TraceContext
from insula.kernel.errors import InsulaError, Rejection
from insula.kernel.randomness import Randomness
from insula.messages import Envelope, decoder
from insula.messaging.dispatcher import Dispatcher, Handler
from insula.messaging.failing import EventRejected, HandlerCancelled, HandlerTimedOut, described
from insula.messaging.overdue import Overdue
from insula.messaging.retrying import RetryPolicy
from insula.messaging.turns import Key, Turn
from insula.store.database import Duplicate, Mark, Outcome, Parked, ParkedState, Scope, Unit
from insula.store.errors import DatabaseUnavailable

_log = logging.getLogger("insula.messaging")
_KEYS_AT_ONCE = 100
_LOSSES_BEFORE_PARKING = 10
"""So often in a row a handler may lose its database before the message is taken for what makes it lose it."""

Value = TypeVar("Value")
Owns = Callable[[Key], bool]
"""Which keys are somebody's: of several processes each takes messages of other keys."""


def all_keys(_: Key) -> bool:
    """A process that is the only one takes them all."""
    return True


class Receiver:
    """The inbox side of a module. `deliver` returns when every consumer has durably taken or parked the message.

    Parameters: `handlers`, the module's consumers by wire name; `policy`, when a failed message is tried again;
    `handler_timeout_seconds`, after which a handler is stopped and has failed.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        handlers: dict[str, list[Handler]],
        clock: Clock,
        randomness: Randomness,
        policy: RetryPolicy,
        handler_timeout_seconds: float,
    ) -> None:
        self.module = dispatcher.module
        self.database = dispatcher.database
        self.types = frozenset(handlers)
        self.handled = 0
        self.on_parked: list[Callable[[Key | None], None]] = []
        """Called when a message was parked, or is to be tried again, with its key; None where it may be any."""
        self._dispatcher = dispatcher
        self._handlers = handlers
        self._by_consumer = {handler.consumer: handler for group in handlers.values() for handler in group}
        self.consumers = frozenset(self._by_consumer)
        self._clock = clock
        self._randomness = randomness
        self._policy = policy
        self._handler_timeout_seconds = handler_timeout_seconds
        self._overdue = Overdue(handler_timeout_seconds)
        self._parked: set[Key] = set()
        self._has_parked = False
        """Whether a row may be parked: while none ever was, nobody needs to look for those that are due."""
        self._last_turns: dict[Key, asyncio.Future[bool]] = {}
        self._losses: dict[Key, int] = {}

    @property
    def renamed(self) -> list[str]:
        """Which consumers have another name than before."""
        found = {name: each.declaration.renamed_from for name, each in self._by_consumer.items()}
        return [f"{before} is {name}" for name, before in found.items() if before is not None]

    async def start(self, owns: Owns = all_keys) -> None:
        """Take over from consumers that were renamed, and learn which keys are parked.

        Parameters: `owns`, the keys that this process takes from now on, until `end` (default: all).
        """
        renamed = [(each.declaration.renamed_from, name) for name, each in self._by_consumer.items()]

        async def body(unit: Unit) -> None:
            for before, after in renamed:
                if before is not None:
                    await unit.rename_consumer(before, after)

        if any(before is not None for before, _ in renamed):
            await self.database.perform(body, Scope(f"{self.module}: renamed consumers"))
        self.end(owns)
        parked = {key for key in await self.database.parked_keys() if owns(key)}
        self._parked |= parked
        self._has_parked = self._has_parked or bool(parked)  # one may be parking just now
        for gone in sorted({consumer for consumer, _, _ in parked} - self.consumers):
            _log.warning(
                "%s: messages are parked for %s, which is gone; renamed_from= (of a command: name=) gives them an heir",
                self.module, gone,
            )  # fmt: skip

    def end(self, owns: Owns) -> None:
        """Another process takes these keys: what it parks is not known here. Only when none of them is under way."""
        self._parked = {key for key in self._parked if not owns(key)}

    async def deliver(self, envelope: Envelope) -> None:
        """Take a message for every consumer of its type; raises when it could be neither handled nor parked."""
        turns = [(each, self._turn(self._key(each, envelope))) for each in self._handlers.get(envelope.type, ())]
        try:
            if len(turns) == 1:  # nearly always, and then a task less
                ((handler, turn),) = turns
                await turn.take(self._take, turn.key, handler, envelope)
            else:
                await _all([turn.take(self._take, turn.key, handler, envelope) for handler, turn in turns])
        finally:
            # A failed turn goes in the very step that tells the sender: in between, a later message of its key could
            # be begun by a sender that knows nothing yet, and must find it.
            for _, turn in turns:
                turn.give_back()

    def _key(self, handler: Handler, envelope: Envelope) -> Key:
        return (handler.consumer, envelope.source, envelope.subject if envelope.subject is not None else envelope.id)

    def _turn(self, key: Key) -> Turn:
        return Turn(self._last_turns, key)

    async def _take(self, key: Key, handler: Handler, envelope: Envelope) -> None:
        if key in self._parked:
            await self._park(key, handler, envelope, attempts=0, error="an earlier message of its key is parked")
            return
        try:
            await self._handle(handler, envelope)
        except Exception as error:
            if self._may_be_lost(key, error):
                raise  # whoever delivers it waits, and delivers it again
            await self._park(key, handler, envelope, attempts=1, error=described(error), reason=error)
        self._losses.pop(key, None)

    def tell_of_parked(self, key: Key | None = None) -> None:
        """Wake whoever tries parked messages again. Parameters: `key`, of which (default: any)."""
        for listener in self.on_parked:
            listener(key)

    def _may_be_lost(self, key: Key, error: Exception) -> bool:
        """Whether the message has not failed: its database did not answer, which uses up no attempt.

        But not for ever: a message may be what makes the database hang up, each time.
        """
        if not isinstance(error, DatabaseUnavailable):
            return False
        losses = self._losses[key] = self._losses.get(key, 0) + 1
        return losses < _LOSSES_BEFORE_PARKING

    async def _park(
        self, key: Key, handler: Handler, envelope: Envelope, *, attempts: int, error: str,
        reason: Exception | None = None,
    ) -> None:  # fmt: skip
        state, due = ParkedState.WAITING, self._clock.now()
        if attempts:  # what only waits behind another message has not failed yet
            state, due = self._verdict(handler, attempts, reason)
        if reason is not None:
            unexpected = None if isinstance(reason, InsulaError) else reason  # the traceback once, not at every attempt
            fate = "is a dead letter" if state is ParkedState.DEAD else "is parked"
            _log.warning(
                "%s: %s %s failed and %s: %s", handler.place, envelope.type, envelope.id, fate, error,
                exc_info=unexpected,
            )  # fmt: skip

        async def body(unit: Unit) -> None:
            await unit.park(handler.consumer, envelope, attempts=attempts, due=due, error=error)
            if state is ParkedState.DEAD:
                await unit.bury(handler.consumer, envelope.id)

        self._has_parked = True  # also where storing it fails: it may be there all the same
        await self.database.perform(body, Scope(f"{handler.name}: parking {envelope.id}"))
        self._parked.add(key)
        self.tell_of_parked(key)

    def _verdict(self, handler: Handler, attempts: int, reason: Exception | None) -> tuple[ParkedState, Any]:
        now = self._clock.now()
        if isinstance(reason, (EventRejected, Rejection)):
            return ParkedState.DEAD, now
        return self._policy.after(attempts, now, handler.declaration.attempts)

    async def _handle(self, handler: Handler, envelope: Envelope, *steps: Any) -> None:
        """Run one consumer for one message; a message taken before, or expired, only runs the steps."""
        mark = Mark(handler.consumer, envelope.id, envelope.source, envelope.position)
        if envelope.expires_at is not None and envelope.expires_at <= self._clock.now():
            _log.info("%s: %s %s expired at %s", handler.place, envelope.type, envelope.id, envelope.expires_at)
            await self._close(handler, mark, Outcome.EXPIRED, *steps)
            return
        message = None
        if handler.declaration.message is not None:
            message = decoder(handler.declaration.message)(envelope.data)
        trace = None if envelope.traceparent is None else TraceContext.parse(envelope.traceparent)
        context = MessageContext(
            envelope.id, envelope.correlation_id, envelope.causation_id, Caller(envelope.caller),
            None if trace is None else trace.child(self._randomness),
        )  # fmt: skip
        scope = Scope(handler.place, finally_=steps)
        try:
            if envelope.kind == "command":
                await self._run(handler, self._dispatcher.sent(handler, message, context, mark, scope))
            else:
                await self._run(handler, self._dispatcher.run(handler, message, context, mark, scope))
            self.handled += 1
        except Duplicate:
            if steps:
                await self._close(handler, mark, Outcome.DONE, *steps)
        except Rejection as rejection:
            if envelope.kind != "command":
                raise EventRejected(f"{handler.place} rejected an event: {described(rejection)}") from rejection
            _log.info("%s rejected the sent command %s: %s", handler.place, envelope.id, described(rejection))

    async def _run(self, handler: Handler, work: Coroutine[Any, Any, Any]) -> None:
        """Run a handler in a task of its own: what cancels it from within ends that task, never the delivery."""
        task = asyncio.get_running_loop().create_task(work)
        try:
            late = not await self._overdue.wait(task)
            if late:
                await self._end_late(handler, task)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait((task,))
            raise
        try:
            task.result()
        except asyncio.CancelledError as error:
            if late:
                limit = f"{self._handler_timeout_seconds:g} s (handler_timeout_seconds in [delivery])"
                raise HandlerTimedOut(f"{handler.place} took longer than {limit} and was stopped") from error
            raise HandlerCancelled(f"{handler.place} was cancelled, or awaited something that was") from error

    async def _end_late(self, handler: Handler, task: asyncio.Task[Any]) -> None:
        """End a run that is over its time, or it would hold its key for ever."""
        seconds = self._handler_timeout_seconds
        if not handler.is_async:
            _log.warning("%s runs longer than %g s on its thread; it cannot be stopped, and its key waits for it",
                         handler.place, seconds)  # fmt: skip
            await asyncio.wait((task,))
        while not task.done():  # again for a handler that catches its cancellation and goes on
            task.cancel()
            await asyncio.wait((task,), timeout=seconds)

    async def _close(self, handler: Handler, mark: Mark, outcome: Outcome, *steps: Any) -> None:
        async def body(unit: Unit) -> None:
            await unit.close(mark, outcome)
            for step in steps:
                await step(unit)

        await self.database.perform(body, Scope(handler.place))

    # -- parked messages

    async def due(self, now: datetime, limit: int, owns: Owns = all_keys) -> Sequence[Key]:
        """Keys whose first parked message is to be tried again by now, the longest overdue first."""
        looked_at = limit
        while self._has_parked:
            heads = await self.database.parked_due(self.consumers, now, looked_at)
            found = [(head.consumer, head.source, head.key) for head in heads]
            owned = [key for key in found if owns(key)]
            if len(owned) >= limit or len(found) < looked_at:
                return owned[:limit]
            looked_at *= 4  # those of others stand before ours
        return ()

    async def next_due(self, after: datetime | None = None) -> datetime | None:
        """When the next parked message is to be tried again: of all, or of those that are due after a moment."""
        return await self.database.parked_next(self.consumers, after=after) if self._has_parked else None

    async def retry(self, key: Key) -> int:
        """Try what is parked under a key, as far as its time has come; returns how many were handled."""
        turn = self._turn(key)
        try:
            return await turn.take(self._retry_key, key)
        finally:
            turn.give_back()

    async def retry_due(self) -> int:
        """Try every parked message whose time has come, and those behind it; returns how many were handled."""
        return sum(await _all([self.retry(key) for key in await self.due(self._clock.now(), _KEYS_AT_ONCE)]))

    async def _retry_key(self, key: Key) -> int:
        """Handle the parked messages of a key in order until one fails or none is left; returns how many it were."""
        handler, handled = self._by_consumer[key[0]], 0
        while (head := await self.database.parked_of(*key)) is not None:
            if head.state is ParkedState.DEAD or head.due > self._clock.now():
                return handled
            try:
                await self._handle(handler, head.envelope, _unpark(head.sequence))
                handled += 1
                self._losses.pop(key, None)
            except Exception as error:
                if self._may_be_lost(key, error):
                    raise
                await self._repark(handler, head, error)
                return handled
        self._parked.discard(key)
        return handled

    async def _repark(self, handler: Handler, head: Parked, error: Exception) -> None:
        attempts = head.attempts + 1
        state, due = self._verdict(handler, attempts, error)
        text = described(error)
        if state is ParkedState.DEAD:
            _log.error(
                "%s: %s %s is dead letter %s/%d after %d attempts: %s", handler.place, head.envelope.type,
                head.envelope.id, self.module, head.sequence, attempts, text,
            )  # fmt: skip

        async def body(unit: Unit) -> None:
            await unit.repark(head.sequence, attempts=attempts, due=due, state=state, error=text)

        await self.database.perform(body, Scope(f"{handler.name}: parking {head.envelope.id}"))
        self.tell_of_parked((head.consumer, head.source, head.key))

    async def revive(self, sequences: Sequence[int]) -> int:
        """Let dead letters be tried again at once, from their first attempt; returns how many."""
        parked = await self.database.parked_chosen(sequences)

        async def body(unit: Unit) -> None:
            for each in parked:
                await unit.repark(
                    each.sequence, attempts=0, due=self._clock.now(), state=ParkedState.WAITING, error=each.error
                )

        if parked:
            await self.database.perform(body, Scope(f"{self.module}: retrying dead letters"))
            self.tell_of_parked()
        return len(parked)

    async def drop(self, sequence: int) -> bool:
        """Give a parked message up: it counts as taken, and its key flows on. False if there is none."""
        parked = await self.database.parked_chosen([sequence])
        for each in parked:
            turn = self._turn((each.consumer, each.source, each.key))
            try:
                await turn.take(self._drop, turn.key, each)
            finally:
                turn.give_back()
        self.tell_of_parked()
        return bool(parked)

    async def _drop(self, key: Key, parked: Parked) -> None:
        mark = Mark(parked.consumer, parked.envelope.id, parked.source, parked.envelope.position)

        async def body(unit: Unit) -> None:
            await unit.close(mark, Outcome.DROPPED)
            await unit.unpark(parked.sequence)

        await self.database.perform(body, Scope(f"{self.module}: dropping {parked.envelope.id}"))
        if await self.database.parked_of(*key) is None:
            self._parked.discard(key)


def _unpark(sequence: int) -> Callable[[Unit], Coroutine[Any, Any, None]]:
    async def step(unit: Unit) -> None:
        await unit.unpark(sequence)

    return step


async def _all(works: Sequence[Coroutine[Any, Any, Value]]) -> Sequence[Value]:
    """Do all at once, to the end also when one fails; raise the first failure. Cancelled, it cancels them and waits."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(work) for work in works]
    if not tasks:
        return ()
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    failures = [failure for task in tasks if (failure := task.exception()) is not None]
    if failures:
        raise failures[0]
    return [task.result() for task in tasks]
