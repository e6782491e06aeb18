"""Moves one module's log to one subscriber: in order, many in flight, a cursor behind what was durably taken."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from insula.kernel.clock import Clock
from insula.messages import Envelope
from insula.messaging.failing import described
from insula.messaging.receiver import Receiver
from insula.store.database import Scope, Unit
from insula.store.log import Log

_log = logging.getLogger("insula.messaging")

Deliver = Callable[[Envelope], Awaitable[None]]
"""Returns when every consumer has durably taken or parked the message; raises when it has to come again."""

WINDOW = 256
"""Messages in flight to one subscriber."""

_CURSOR_INTERVAL_SECONDS = 0.25
_POLL_SECONDS = 5.0
_LONGEST_DELAY_SECONDS = 5.0


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
        self._name = f"log of {source.name}"
        self._awake = asyncio.Event()
        source.on_append(self._appended)

    async def start(self) -> None:
        """Begin where the last run left off; a new subscriber begins at the end of the log.

        That beginning is stored at once: after a crash it must not move past what was appended since.
        """
        found = await self.receiver.database.cursor(self._name)
        head = await self.source.log_head()
        if found is not None and head < found:
            # Nothing was appended since, for relays start before anything else: here the old log and the new one part.
            _log.error(
                "the %s ends at %d, but %s had read it to %d: it was restored from a backup or deleted; going on there",
                self._name, head, self.receiver.module, found,
            )  # fmt: skip
        self.position = head if found is None else min(found, head)
        self.saved = -1 if found is None else found
        await self.save()

    def _appended(self, types: frozenset[str]) -> None:
        if not types.isdisjoint(self.receiver.types):
            self._awake.set()

    async def step(self, *, twice: bool = False, saving: bool = False) -> int:
        """Deliver what the log has; returns how many messages.

        Parameters: `twice` delivers each two times, as brokers may; `saving` stores the cursor now and then.
        """
        head = await self.source.log_head()
        flying: deque[tuple[int, asyncio.Task[None]]] = deque()
        delivered, read, more = 0, self.position, head > self.position
        try:
            while True:
                while more and len(flying) <= WINDOW // 2:
                    records = await self.source.log_after(read, self.receiver.types, WINDOW // 2)
                    if any(task.done() and task.exception() is not None for _, task in flying):
                        break  # later messages of its key must not overtake the one that could not be taken
                    for envelope in records:
                        task = asyncio.get_running_loop().create_task(self._deliver_one(envelope, twice=twice))
                        flying.append((envelope.position, task))
                        read = envelope.position
                    more = len(records) == WINDOW // 2
                if not flying:
                    break
                position, task = flying[0]
                await task
                flying.popleft()
                self.position = position
                delivered += 1
                if saving and self._clock.monotonic() >= self._save_at:
                    await self.save()
        except BaseException:
            await asyncio.gather(*(task for _, task in flying), return_exceptions=True)
            raise
        self.position = max(self.position, head)
        return delivered

    async def _deliver_one(self, envelope: Envelope, *, twice: bool) -> None:
        await self._deliver(envelope)
        if twice:
            await self._deliver(envelope)

    async def save(self) -> None:
        """Store the cursor."""
        position = self.position
        if position == self.saved:
            return

        async def body(unit: Unit) -> None:
            await unit.save_cursor(self._name, position)

        await self.receiver.database.perform(body, Scope(f"{self.receiver.module}: cursor on the {self._name}"))
        self.saved = position
        self._save_at = self._clock.monotonic() + _CURSOR_INTERVAL_SECONDS

    async def run(self) -> None:
        """Deliver as the log grows, until cancelled; wait longer each time the subscriber's store fails."""
        delay = 0.05
        while True:
            self._awake.clear()
            try:
                await self.step(saving=True)
                delay = 0.05
                if self.position == self.saved:
                    await self._wait(_POLL_SECONDS)
                    continue
                await self._wait(self._save_at - self._clock.monotonic())
                if self._clock.monotonic() >= self._save_at:
                    await self.save()
            except Exception as error:
                _log.warning("%s → %s: %s; again in %.2f s", self._name, self.receiver.module, described(error), delay)
                await self._clock.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return
