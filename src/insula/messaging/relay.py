"""Moves one module's log to one subscriber: in order, many in flight, a cursor behind what was durably taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from insula.kernel.clock import Clock
from insula.kernel.errors import Failure
from insula.messages import Envelope
from insula.messaging.epoch import in_log
from insula.messaging.failing import described
from insula.messaging.receiver import Receiver
from insula.messaging.transport import joined_cursor, log_cursor, partition_cursor, partition_of
from insula.messaging.waiting import Signal, land
from insula.store.database import Scope, Unit
from insula.store.log import Log

_log = logging.getLogger("insula.messaging")

Deliver = Callable[[Envelope], Awaitable[None]]
"""Returns when every consumer has durably taken or parked the message; raises when it has to come again."""

WINDOW = 256
"""Messages in flight to one subscriber."""

_PAGE = 128
_CURSOR_INTERVAL_SECONDS = 1.0
_POLL_SECONDS = 20.0
_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 5.0


class _Window:
    """The messages on their way to one subscriber.

    Parameters: `deliver`; `position`, up to which everything was taken; `awake`, set when a delivery ends.
    """

    def __init__(self, deliver: Deliver, position: int, awake: Signal) -> None:
        self.read = position
        self.failure: BaseException | None = None
        self.taken = 0
        self._deliver = deliver
        self._awake = awake
        self._flying: dict[int, asyncio.Task[None]] = {}

    @property
    def position(self) -> int:
        """Everything up to here was taken: what stands before the oldest message that was not."""
        return next(iter(self._flying), self.read + 1) - 1

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on its way."""
        return not self._flying

    @property
    def room(self) -> int:
        """How many more messages may be begun."""
        return WINDOW - len(self._flying)

    def begin(self, envelope: Envelope, *, twice: bool) -> None:
        """Let a message fly; those of one log begin in its order."""
        task = asyncio.get_running_loop().create_task(self._fly(envelope, twice=twice))
        self._flying[envelope.position] = task
        self.read = envelope.position

    async def _fly(self, envelope: Envelope, *, twice: bool) -> None:
        try:
            await self._deliver(envelope)
            if twice:
                await self._deliver(envelope)
        except asyncio.CancelledError:
            self._fail(Failure(f"the delivery of {envelope.type} {envelope.id} was cancelled"))
        except BaseException as error:  # whatever it is, the position must not wait for this message in silence
            self._fail(error)
        else:
            del self._flying[envelope.position]
            self.taken += 1
        self._awake.set()

    def _fail(self, error: BaseException) -> None:
        # In the step in which the delivery ends: whoever begins the next message has to see it first.
        self.failure = self.failure or error

    async def land(self, seconds: float | None = None) -> None:
        """Wait for what is on its way; what is still after that many seconds is cancelled."""
        await land(tuple(self._flying.values()), seconds)


class Relay:
    """Reads `source`'s log and delivers what `receiver` consumes.

    Parameters: `deliver`, how a message gets to the receiver (default: it is handed over).

    The cursor lies in the subscriber's database and is saved now and then: what is delivered again after a crash
    finds its inbox mark.
    """

    def __init__(self, source: Log, receiver: Receiver, clock: Clock, deliver: Deliver | None = None) -> None:
        self.source = source
        self.receiver = receiver
        self.position = 0
        self.saved = 0
        self._deliver = deliver or receiver.deliver
        self._save_at = 0.0
        self._clock = clock
        self._name = log_cursor(source.name)
        self._awake = Signal()
        self._grown = True
        self._window = _Window(self._deliver, 0, self._awake)
        self._apart: Mapping[int, int] = {}
        self._partitions = 0
        source.on_append(self._appended)

    async def settle(self) -> None:
        """Store where a new subscriber begins, before anything is appended that it has to hear.

        For processes that take requests before one of them begins to deliver. Of two that do this at once one is first.
        """
        head = await self.source.log_head()
        if await self.receiver.database.cursor(self._name) is not None:
            return

        async def body(unit: Unit) -> None:
            await unit.begin_cursor(self._name, head)

        await self.receiver.database.perform(body, Scope(f"{self.receiver.module}: cursor on the {self._name}"))

    async def start(self) -> None:
        """Begin where the last run left off; a new subscriber begins at the end of the log.

        That beginning is stored at once: after a crash it must not move past what was appended since.
        """
        self._apart = {}
        found = await self.receiver.database.cursor(self._name)
        head = await self.source.log_head()
        if found is not None and found < 0:
            found = await self._read_apart(-found, head)
        if found is not None and head < found:
            # Nothing was appended since, for relays start before anything else: here the old log and the new one part.
            _log.error(
                "the %s ends at %d, but %s had read it to %d: it was restored from a backup or deleted; going on there",
                self._name, head, self.receiver.module, found,
            )  # fmt: skip
        if found is not None and found < head and (gone := await self.source.log_first() - found - 1) > 0:
            _log.error(
                "%s has read the %s to %d only, and the %d messages after that were pruned: it will never hear them. "
                "Bring its data up to date from %s by hand, and keep log_kept_days in [store] longer than a module is "
                "ever away",
                self.receiver.module, self._name, found, gone, self.source.name,
            )  # fmt: skip
        self.position = head if found is None else min(found, head)
        self.saved = -1 if found is None else found
        await self.save()

    async def _read_apart(self, partitions: int, head: int) -> int:
        """Take over from a `Subscriber`, which has read each partition by itself; returns where to begin."""
        database, self._partitions = self.receiver.database, partitions
        joined = await database.cursor(joined_cursor(self.source.name))
        for partition in range(partitions):
            found = await database.cursor(partition_cursor(self.source.name, partition))
            known = [in_log(position) for position in (found, joined) if position is not None]
            if known:
                self._apart = {**self._apart, partition: max(known)}
        return min(self._apart.values(), default=head)

    def _was_read(self, envelope: Envelope) -> bool:
        """Whether the message was taken while source and subscriber ran in two processes."""
        return envelope.position <= self._apart.get(partition_of(envelope, self._partitions), 0)

    def _appended(self, types: frozenset[str]) -> None:
        if not types or not types.isdisjoint(self.receiver.types):  # none: nobody knows which
            self._grown = True
            self._awake.set()

    async def step(self, *, twice: bool = False) -> int:
        """Deliver what the log has; returns how many messages. Raises what a delivery failed with, after all others.

        Parameters: `twice` delivers each two times, as brokers may.
        """
        landed = Signal()
        window, more = _Window(self._deliver, self.position, landed), True
        try:
            while window.failure is None and (more or not window.is_empty):
                landed.clear()
                while more and window.room and window.failure is None:
                    more = await self._read_on(window, twice=twice)
                if not window.is_empty:
                    await landed.wait()
            await window.land()
        except BaseException as error:
            await window.land(0 if isinstance(error, asyncio.CancelledError) else None)
            raise
        finally:
            self._advance(window)
        if window.failure is not None:
            raise window.failure
        return window.taken

    def _advance(self, window: _Window) -> None:
        self.position = max(self.position, window.position)

    async def _read_on(self, window: _Window, *, twice: bool = False) -> bool:
        """Begin what the log has next, as far as there is room; returns whether there may be more."""
        head = await self.source.log_head()
        if head <= window.read:
            return False
        limit = min(window.room, _PAGE)
        records = await self.source.log_after(window.read, self.receiver.types, limit)
        if window.failure is not None:
            return False  # later messages of its key must not overtake the one that could not be taken
        for envelope in records:
            if not self._apart or not self._was_read(envelope):
                window.begin(envelope, twice=twice)
        if len(records) == limit:
            return True
        window.read = max(window.read, head)
        return False

    async def save(self) -> None:
        """Store the cursor, once it says as much as those of all partitions before."""
        position = self.position
        if position == self.saved:
            return
        if self._apart and position < max(self._apart.values()):
            self._save_at = self._clock.monotonic() + _CURSOR_INTERVAL_SECONDS
            return
        self._apart = {}
        await self._save(position)
        self.saved = position
        self._save_at = self._clock.monotonic() + _CURSOR_INTERVAL_SECONDS

    async def _save(self, position: int) -> None:
        async def body(unit: Unit) -> None:
            await unit.save_cursor(self._name, position)

        await self.receiver.database.perform(body, Scope(f"{self.receiver.module}: cursor on the {self._name}"))

    async def run(self) -> None:
        """Deliver as the log grows, until cancelled; begin again from the position when a message could not be taken.

        Each time it waits longer, until the position has moved.
        """
        delay, reached = _FIRST_DELAY_SECONDS, self.position
        self._window = _Window(self._deliver, self.position, self._awake)
        while True:
            try:
                await self._follow(self._window)
            except Exception as error:
                if self.position > reached:
                    delay, reached = _FIRST_DELAY_SECONDS, self.position
                _log.warning("%s → %s: %s; again in %.2f s", self._name, self.receiver.module, described(error), delay)
            if self._window.failure is not None:
                await self._window.land()
                self._advance(self._window)
                self._window = _Window(self._deliver, self.position, self._awake)
            self._grown = True
            await self._clock.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _follow(self, window: _Window) -> None:
        """Read on whenever the log has grown and there is room; raises when something could not be taken."""
        while window.failure is None:
            self._awake.clear()
            while self._grown and window.room and window.failure is None:
                self._grown = False  # first, so that what grows meanwhile is seen
                self._grown = await self._read_on(window) or self._grown
            self._advance(window)
            await self._wait()
        raise window.failure

    async def _wait(self) -> None:
        """Until the log has grown or a message was taken; save the cursor when it is time to."""
        seconds = _POLL_SECONDS
        if self.position != self.saved:
            if self._clock.monotonic() >= self._save_at:
                await self.save()
                return
            seconds = self._save_at - self._clock.monotonic()
        if not await self._awake.wait(seconds):
            self._grown = True  # `on_append` may have missed something

    async def land(self, seconds: float) -> None:
        """After `run` was cancelled: let what is on its way end; what has not after that many seconds is cancelled."""
        await self._window.land(seconds)
        self._advance(self._window)
