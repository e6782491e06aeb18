"""Delayed and recurring messages: a timer's row becomes a row of the log when it is due, in one commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec

from insula.kernel.clock import Clock
from insula.kernel.cron import next_fire
from insula.kernel.ids import INSULA_NAMESPACE, derive
from insula.messages import Envelope
from insula.messaging.failing import described
from insula.messaging.receiver import Owns, Receiver, all_keys
from insula.messaging.turns import Key
from insula.messaging.waiting import Signal, land
from insula.modules import HandlerDeclaration
from insula.store.database import Database, Scope, Timer, Unit
from insula.store.log import TIMER_SAVED

_log = logging.getLogger("insula.messaging")
_LONGEST_SLEEP_SECONDS = 30.0
"""Whoever sleeps is woken when there is something new to wait for; this is for a wall clock that jumps."""

_PAUSE_SECONDS = 1.0
_TIMERS_AT_ONCE = 200
_RETRIES_AT_ONCE = 64


def tick_type(declaration: HandlerDeclaration) -> str:
    """The wire name of a schedule's own message."""
    return f"{declaration.name}.tick"


class Timers:
    """Fires the timers of one module."""

    def __init__(self, database: Database, schedules: Sequence[HandlerDeclaration], clock: Clock) -> None:
        self._database = database
        self._schedules = {declaration.name: declaration for declaration in schedules}
        self._clock = clock
        self._awake = Signal()
        database.on_append(self._appended)

    def _appended(self, types: frozenset[str]) -> None:
        if not types or TIMER_SAVED in types:  # none: nobody knows which
            self._awake.set()

    async def start(self) -> None:
        """Set a timer for each new or changed schedule, and remove those whose declaration is gone.

        What came due while the process was down fires once, not once for each time missed.
        """
        now = self._clock.now()
        known = {timer.identifier: timer for timer in await self._database.timers_recurring()}
        wanted = {self._identifier(each): each for each in self._schedules.values()}
        new = [self._next(identifier, each, now) for identifier, each in wanted.items() if identifier not in known]
        gone = [identifier for identifier in known if identifier not in wanted]

        async def body(unit: Unit) -> None:
            await unit.save_timers(new)
            await unit.remove_timers(gone)

        if new or gone:
            await self._database.perform(body, Scope(f"{self._database.name}: schedules"))

    def _identifier(self, declaration: HandlerDeclaration) -> str:
        return f"{declaration.name} at {declaration.schedule} {declaration.timezone}"

    def _next(self, identifier: str, declaration: HandlerDeclaration, after: datetime) -> Timer:
        # No key: a tick that became a dead letter must not hold up the ticks after it.
        due = next_fire(declaration.schedule or "", after, declaration.timezone)
        message_id = derive(INSULA_NAMESPACE, f"{identifier}/{due.isoformat()}")
        envelope = Envelope(
            id=message_id, source=self._database.name, type=tick_type(declaration), kind="tick", version=1,
            subject=None, time=due, data=b"null", correlation_id=message_id, causation_id=None,
            traceparent=None, caller="anonymous",
        )  # fmt: skip
        return Timer(identifier, due, envelope, declaration.name)

    async def step(self) -> int:
        """Fire what is due; returns how many."""
        now = self._clock.now()
        due = await self._database.timers_due(now, _TIMERS_AT_ONCE)
        if not due:
            return 0
        recurring = [timer for timer in due if timer.schedule in self._schedules]
        following = [self._next(each.identifier, self._schedules[each.schedule], now) for each in recurring]

        async def body(unit: Unit) -> None:
            await unit.append([_stamped(timer.envelope, now) for timer in due])
            await unit.remove_timers([timer.identifier for timer in due])
            await unit.save_timers(following)

        await self._database.perform(body, Scope(f"{self._database.name}: timers"))
        return len(due)

    async def run(self) -> None:
        """Fire timers as they come due, until cancelled."""
        while True:
            self._awake.clear()
            try:
                due = await self._database.timers_next()
                if due is not None and due <= self._clock.now() and await self.step():
                    continue
                seconds = _seconds_until(due, self._clock)
            except Exception as error:
                _log.warning("%s: timers: %s", self._database.name, described(error))
                seconds = _PAUSE_SECONDS
            await self._awake.wait(seconds)


class Retrier:
    """Tries parked messages again as they come due: keys beside each other, none waiting for another.

    Parameters: `owns`, whose keys they are (default: all are).
    """

    def __init__(self, receiver: Receiver, clock: Clock, owns: Owns = all_keys) -> None:
        self._receiver = receiver
        self._owns = owns
        self._clock = clock
        self._awake = Signal()
        self._running: dict[Key, asyncio.Task[None]] = {}
        receiver.on_parked.append(self._wake)

    def _wake(self, key: Key | None) -> None:
        if key is None or self._owns(key):
            self._awake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._awake.clear()
            try:
                seconds = await self._begin_due()
            except Exception as error:
                _log.warning("%s: parked messages: %s", self._receiver.module, described(error))
                seconds = _PAUSE_SECONDS
            await self._awake.wait(seconds)

    async def _begin_due(self) -> float:
        """Begin what is due and does not run yet, as far as there is room; returns the seconds until more is due."""
        now = self._clock.now()
        for key in await self._receiver.due(now, 2 * _RETRIES_AT_ONCE, self._owns):  # those that run are among them
            if len(self._running) < _RETRIES_AT_ONCE and key not in self._running:
                self._running[key] = asyncio.get_running_loop().create_task(self._retry(key))
        return _seconds_until(await self._receiver.next_due(after=now), self._clock)

    async def _retry(self, key: Key) -> None:
        try:
            await self._receiver.retry(key)
        except Exception as error:
            _log.warning("%s: parked messages: %s", self._receiver.module, described(error))
            await self._clock.sleep(_PAUSE_SECONDS)  # what failed could not even be stored, so it is due still
        finally:
            del self._running[key]
            self._awake.set()

    async def land(self, seconds: float) -> None:
        """After `run` was cancelled: let retries under way end; those that have not after so long are cancelled."""
        await land(tuple(self._running.values()), seconds)


def _seconds_until(due: datetime | None, clock: Clock) -> float:
    if due is None:
        return _LONGEST_SLEEP_SECONDS
    return min(max((due - clock.now()).total_seconds(), 0.001), _LONGEST_SLEEP_SECONDS)


def _stamped(envelope: Envelope, now: datetime) -> Envelope:
    return msgspec.structs.replace(envelope, time=now)
