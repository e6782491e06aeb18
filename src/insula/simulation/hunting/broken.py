"""The framework with one of its promises broken, in the processes of one run.

Each change replaces methods of the very objects that one process was wired from, so that no other run, and nothing
outside the simulation, ever sees it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from insula.kernel.errors import Rejection
from insula.messages import Envelope
from insula.messaging.receiver import Receiver
from insula.runtime.wiring import Wired
from insula.simulation.machine.labels import message_label
from insula.simulation.machine.network import Network
from insula.simulation.machine.process import SimulatedProcess
from insula.simulation.setting import Change
from insula.store.database import Database, Duplicate, Mark, Outcome, Scope, Unit
from insula.store.log import Log
from insula.store.unit_of_work import Parameters, Statement

Body = Callable[[Any], Any]
Perform = Callable[[Body, Scope], Coroutine[Any, Any, Any]]
Around = Callable[[Database, Perform, Body, Scope], Coroutine[Any, Any, Any]]
"""Runs a handler's unit of work, given the database's own way of doing so."""

HOLD_SECONDS = 1.0
"""How long a message waits for others that could overtake it."""

_LOOKED_THROUGH = 50


def around_handlers(wired: Wired, around: Around) -> None:
    """Let `around` run the units of every handler of a process, and leave the framework's own units alone."""
    for database in wired.databases.values():
        for name in ("perform", "perform_in_thread"):
            setattr(database, name, partial(_perform, around, database, getattr(database, name)))


async def _perform(around: Around, database: Database, perform: Perform, body: Body, scope: Scope) -> Any:
    if scope.context is None:
        return await perform(body, scope)
    return await around(database, perform, body, scope)


def _replace(target: object, **methods: Any) -> None:
    for name, method in methods.items():
        setattr(target, name, method)


def _logged(scope: Scope) -> Mark | None:
    """The mark of a message that came from a log; a called command is its caller's to repeat."""
    return scope.mark if scope.mark is not None and scope.mark.source else None


# -- the inbox


def no_inbox() -> Change:
    """No marks are made, so none is found."""

    async def around(_: Database, perform: Perform, body: Body, scope: Scope) -> Any:
        scope.mark = None
        return await perform(body, scope)

    return lambda _process, _network, wired: around_handlers(wired, around)


def retries_doubled() -> Change:
    """When a message has been handled, it is handled once more."""

    async def around(_: Database, perform: Perform, body: Body, scope: Scope) -> Any:
        again = Scope(scope.place, scope.departure, reject=scope.reject, context=scope.context)
        answer = await perform(body, scope)
        if _logged(scope) is not None:
            with suppress(Exception):  # the message counts as taken, whatever comes of this
                await perform(body, again)
        return answer

    return lambda _process, _network, wired: around_handlers(wired, around)


def no_retry() -> Change:
    """What a handler fails on counts as taken."""

    async def around(database: Database, perform: Perform, body: Body, scope: Scope) -> Any:
        try:
            return await perform(body, scope)
        except (Duplicate, Rejection):  # these are answers
            raise
        except Exception:
            mark = _logged(scope)
            if mark is None:
                raise
        return await database.perform(partial(_close, mark, scope.finally_), Scope(scope.place))

    return lambda _process, _network, wired: around_handlers(wired, around)


async def _close(mark: Mark, steps: Sequence[Callable[[Unit], Awaitable[None]]], unit: Unit) -> None:
    await unit.close(mark, Outcome.DROPPED)
    for step in steps:
        await step(unit)


# -- the outbox


def no_outbox() -> Change:
    """What is published or sent reaches its subscribers at once. The log brings it again, and finds the mark."""
    subscribers: dict[str, tuple[SimulatedProcess, Receiver]] = {}

    def tell(origin: SimulatedProcess, network: Network, envelope: Envelope) -> None:
        for module, (there, receiver) in subscribers.items():
            if envelope.type not in receiver.types or not any(each.ready for each in network.services_of[module]):
                continue
            if not network.splits(origin.name, there.name):
                label = message_label(envelope, origin.world.aliases)
                origin.world.record(there.name, "deliver", f"{envelope.source} → {module}: {label}, before its commit")
                there.spawn(_delivered(receiver, envelope), f"{label} before its commit")

    def change(process: SimulatedProcess, network: Network, wired: Wired) -> None:
        subscribers.update({name: (process, receiver) for name, receiver in wired.receivers.items()})

        async def around(_: Database, perform: Perform, body: Body, scope: Scope) -> Any:
            def leaving(verb: Callable[..., None], message: Any, **options: Any) -> None:
                departure = scope.departure
                before = 0 if departure is None else len(departure.envelopes)
                verb(message, **options)
                for envelope in [] if departure is None else departure.envelopes[before:]:
                    tell(process, network, envelope)

            def hasty(unit: Any) -> Any:
                _replace(unit, publish=partial(leaving, unit.publish), send=partial(leaving, unit.send))
                return body(unit)

            return await perform(hasty, scope)

        around_handlers(wired, around)

    return change


async def _delivered(receiver: Receiver, envelope: Envelope) -> None:
    with suppress(Exception):  # it comes again
        await receiver.deliver(envelope)


def dropped(type_name: str) -> Change:
    """Messages of one type get lost on their way."""

    async def deliver(original: Callable[[Envelope], Coroutine[Any, Any, None]], envelope: Envelope) -> None:
        if envelope.type != type_name:
            await original(envelope)

    def change(_process: SimulatedProcess, _network: Network, wired: Wired) -> None:
        for receiver in wired.receivers.values():
            _replace(receiver, deliver=partial(deliver, receiver.deliver))

    return change


# -- order


def order_ignored() -> Change:
    """What a log gets within a while under one key arrives last first; nothing waits behind a parked message."""

    def change(process: SimulatedProcess, _network: Network, wired: Wired) -> None:
        for receiver in wired.receivers.values():
            logs = {relay.source.name: relay.source for relay in wired.relays if relay.receiver is receiver}
            _replace(receiver, deliver=_Disorder(process, receiver, logs).deliver)

    return change


class _Disorder:
    """Delivers the followers of a message before it, the last one first.

    Each comes once more in its own place, and finds its mark. Without its key a message waits for no other.
    """

    def __init__(self, process: SimulatedProcess, receiver: Receiver, logs: Mapping[str, Log]) -> None:
        self._process = process
        self._types = receiver.types
        self._deliver = receiver.deliver
        self._logs = logs
        self._ahead: set[str] = set()

    async def deliver(self, envelope: Envelope) -> None:
        if envelope.subject is not None and envelope.id not in self._ahead:
            await self._process.clock.sleep(HOLD_SECONDS)
            for follower in reversed(await self._followers(envelope)):
                self._ahead.add(follower.id)
                await self._deliver(_without_key(follower))
        await self._deliver(_without_key(envelope))

    async def _followers(self, envelope: Envelope) -> Sequence[Envelope]:
        following = await self._logs[envelope.source].log_after(envelope.position, self._types, _LOOKED_THROUGH)
        return [each for each in following if each.subject == envelope.subject]


def _without_key(envelope: Envelope) -> Envelope:
    return msgspec.structs.replace(envelope, subject=None)


# -- peeks


def stale_peeks() -> Change:
    """What was read before the turn is not read again within it."""

    async def around(database: Database, perform: Perform, body: Body, scope: Scope) -> Any:
        def careless(unit: Any) -> Any:
            if hasattr(unit, "peek"):  # a `def` handler has none
                _replace(unit, peek=partial(_unchecked, database, unit, unit.peek))
            return body(unit)

        return await perform(careless, scope)

    return lambda _process, _network, wired: around_handlers(wired, around)


async def _unchecked(
    database: Database, unit: Unit, peek: Callable[..., Any], statement: Statement, parameters: Parameters = None
) -> Any:
    if unit.writing is None:
        return await database.read(statement, parameters)
    return await peek(statement, parameters)


# -- what is published in answer


def listening(found: set[tuple[str, str]]) -> Change:
    """Breaks nothing: adds to `found` each consumer of messages from a log, with the types that it publishes."""

    async def around(_: Database, perform: Perform, body: Body, scope: Scope) -> Any:
        answer, mark = await perform(body, scope), _logged(scope)
        if mark is not None and scope.departure is not None:
            found.update((mark.consumer, each.type) for each in scope.departure.envelopes)
        return answer

    return lambda _process, _network, wired: around_handlers(wired, around)
