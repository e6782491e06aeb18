"""Carries messages from an outbox to a destination: in order per key, at least once, one relay at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from insula.kernel.clock import Clock
from insula.kernel.errors import Failure, Unavailable
from insula.messages import Envelope, MessageInvalid, from_cloudevent
from insula.messaging.destination import Destination, Refused
from insula.messaging.outbox import BEHIND, DELAYED, DROPPED, PARKED, SENT
from insula.messaging.outbox_queue import LeaseLost, OutboxQueue, Verdict, Waiting
from insula.messaging.retrying import RetryPolicy

Value = TypeVar("Value")

_log = logging.getLogger("insula.relay")

_TIDY_SECONDS = 5.0
_TELL_SECONDS = 10.0


class Transactions(Protocol):
    """A database, in one transaction after the other."""

    async def run(self, work: Callable[[Connection], Value]) -> Value:
        """Run a function in a transaction that commits when it returns. Raises `Unavailable`, ConfigurationError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a forwarder works.

    Parameters: `page`, how many messages are read at a time (default 500), all of which come again after a crash;
    `poll_seconds` between looks at an outbox in which nothing waits (0.5); `lease_seconds`, after which another relay
    goes on where one has died (10); `round_seconds`, after which what was sent is stored at the latest, not counting
    what is on its way (1); `kept`, how long a message stays in the table once it was sent (7 days); `retry`, the delays
    of a message that fails, and of everything while the destination is away.
    """

    page: int = 500
    poll_seconds: float = 0.5
    lease_seconds: float = 10.0
    round_seconds: float = 1.0
    kept: timedelta = timedelta(days=7)
    retry: RetryPolicy = field(default=RetryPolicy(longest_delay_seconds=60))


@dataclass(slots=True)
class _Round:
    """One page on its way."""

    lanes: deque[Sequence[Waiting]]
    until: float
    verdicts: list[Verdict] = field(default_factory=list)
    failure: Unavailable | None = None


class Forwarder:
    """Empties one outbox into one destination until it is stopped.

    Parameters: `holder`, a name for this relay; `announce` is called with a line for people when much was sent.
    """

    def __init__(
        self,
        queue: OutboxQueue,
        transactions: Transactions,
        destination: Destination,
        clock: Clock,
        *,
        holder: str,
        pace: Pace = Pace(),
        announce: Callable[[str], None] = _log.info,
    ) -> None:
        self._queue = queue
        self._transactions = transactions
        self._destination = destination
        self._clock = clock
        self._holder = holder
        self._pace = pace
        self._announce = announce
        self._stopping = asyncio.Event()
        self._failures = 0
        self._told_of_other = False
        self._sent = self._held = self._told = 0
        self._tell_at = self._tidy_at = self._renew_at = 0.0

    def stop(self) -> None:
        """Begin nothing more: what is on its way ends, is stored, and `run` returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Carry on until `stop`. Raises ConfigurationError where waiting will not help."""
        await self._ready()
        while not self._stopping.is_set():
            try:
                await self._hold()
            except LeaseLost as error:
                _log.warning("%s; what was on its way may be sent twice", error)
            except Unavailable as error:
                await self._wait_for(error)
        self._tell(always=True)

    async def _ready(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._transactions.run(self._queue.check)
                await self._destination.open()
            except Unavailable as error:
                await self._wait_for(error)
            else:
                return

    async def _wait_for(self, error: Unavailable) -> None:
        self._failures += 1
        _, due = self._pace.retry.after(self._failures, self._clock.now(), limit=self._failures + 1)
        seconds = max((due - self._clock.now()).total_seconds(), error.retry_after or 0)
        _log.warning("%s; trying again in %.1f s", error, seconds)
        await self._pause(seconds)

    async def _hold(self) -> None:
        """Send as long as the right to is ours."""
        token = await self._acquire()
        if token is None:
            return
        try:
            while not self._stopping.is_set():
                if not await self._round(token):
                    await self._pause(self._pace.poll_seconds)
        finally:
            with suppress(Unavailable):
                await self._transactions.run(lambda connection: self._queue.release(connection, token))

    async def _acquire(self) -> int | None:
        seconds = self._pace.lease_seconds
        token = await self._transactions.run(lambda each: self._queue.acquire(each, self._holder, seconds))
        if token is None:
            if not self._told_of_other:
                self._announce(f"another relay empties {self._queue.name}; waiting to take over")
            await self._pause(min(seconds / 4, 2.0))
        elif self._told_of_other:
            self._announce(f"taking over {self._queue.name}")
        self._told_of_other = token is None
        return token

    async def _pause(self, seconds: float) -> None:
        """Wait, no longer than until `stop`."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        both: tuple[asyncio.Future[Any], ...] = sleeping, stopping
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in both:
                each.cancel()

    async def _round(self, token: int) -> bool:
        """Send what there is next; returns whether there may be more."""
        tidied = await self._tidied(token)
        waiting, more = await self._read(token)
        if not waiting:
            self._failures = 0
            self._tell()
            return more or tidied
        begun = _Round(_lanes(waiting), self._clock.monotonic() + self._pace.round_seconds)
        await self._send_all(begun, token)
        if begun.verdicts:
            await self._changed(token, lambda connection: self._queue.settle(connection, begun.verdicts))
            self._failures = 0
        self._count(begun.verdicts)
        if begun.failure is not None:
            raise begun.failure
        self._tell()
        return more or len(begun.verdicts) < len(waiting)

    async def _changed(self, token: int, change: Callable[[Connection], Value]) -> Value:
        """Change something in one transaction with the proof that the right to is still ours."""
        seconds = self._pace.lease_seconds

        def work(connection: Connection) -> Value:
            self._queue.renew(connection, token, seconds)
            return change(connection)

        renewed = self._clock.monotonic()
        value = await self._transactions.run(work)
        self._renew_at = renewed + seconds / 3
        return value

    async def _read(self, token: int) -> tuple[Sequence[Waiting], bool]:
        # One message is enough to see whether a destination that was away is back.
        limit = 1 if self._failures else self._pace.page

        def read(connection: Connection) -> tuple[Sequence[Waiting], bool]:
            return self._queue.read(connection, limit)

        if self._clock.monotonic() < self._renew_at:  # a look at an idle outbox writes nothing
            return await self._transactions.run(read)
        return await self._changed(token, read)

    async def _tidied(self, token: int) -> bool:
        """From time to time delete what was kept long enough. Returns whether there is more to do."""
        now = self._clock.monotonic()
        if now < self._tidy_at:
            return False

        def tidy(connection: Connection) -> int:
            return self._queue.free(connection) + self._queue.prune(connection, self._pace.kept)

        done = await self._changed(token, tidy)
        self._tidy_at = now if done else now + _TIDY_SECONDS
        return done > 0

    async def _send_all(self, begun: _Round, token: int) -> None:
        """Send a page, and hold on to the right meanwhile. Raises `LeaseLost`, and then sends no more of it."""
        workers = min(self._destination.concurrency, len(begun.lanes))
        sending = asyncio.gather(*(self._work_off(begun) for _ in range(workers)))
        keeping = asyncio.ensure_future(self._keep(token))
        both: tuple[asyncio.Future[Any], ...] = sending, keeping
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            (sending if sending.done() else keeping).result()
        finally:
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _keep(self, token: int) -> None:
        while True:
            await self._clock.sleep(self._pace.lease_seconds / 3)
            await self._changed(token, _nothing)

    async def _work_off(self, begun: _Round) -> None:
        while begun.lanes and not self._is_over(begun):
            await self._send_lane(begun.lanes.popleft(), begun)

    def _is_over(self, begun: _Round) -> bool:
        late = self._clock.monotonic() >= begun.until
        return late or begun.failure is not None or self._stopping.is_set()

    async def _send_lane(self, lane: Sequence[Waiting], begun: _Round) -> None:
        """Send messages of one key, one after the other, up to the first that is not taken."""
        for number, each in enumerate(lane):
            if number and self._is_over(begun):
                return
            try:
                verdict = await self._send(each)
            except Unavailable as error:
                begun.failure = begun.failure or error
                return
            begun.verdicts.append(verdict)
            if verdict.state in (DELAYED, PARKED):
                begun.verdicts += [Verdict(later.position, later.key, BEHIND) for later in lane[number + 1 :]]
                return

    async def _send(self, waiting: Waiting) -> Verdict:
        """Send one message. Raises `Unavailable`."""
        try:
            message = from_cloudevent(waiting.message)
        except MessageInvalid as error:
            return self._parked(waiting, error)
        if message.expires_at is not None and message.expires_at <= self._clock.now():
            return Verdict(waiting.position, waiting.key, DROPPED, waiting.attempts, error="expired")
        try:
            await self._destination.send(message)
        except Unavailable:
            raise
        except Refused as error:
            return self._parked(waiting, error)
        except Exception as error:
            return self._delayed(waiting, message, error)
        return Verdict(waiting.position, waiting.key, SENT)

    def _parked(self, waiting: Waiting, error: Exception) -> Verdict:
        where = f"message {waiting.position} of {self._queue.name}"
        _log.error("%s is parked, with what follows of its key %r: %s", where, waiting.key, error)
        return Verdict(waiting.position, waiting.key, PARKED, waiting.attempts + 1, error=str(error))

    def _delayed(self, waiting: Waiting, message: Envelope, error: Exception) -> Verdict:
        attempts = waiting.attempts + 1
        _, due = self._pace.retry.after(attempts, self._clock.now(), limit=attempts + 1)
        told = str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
        _log.warning("%s %s was not taken (attempt %d): %s", message.type, message.id, attempts, told)
        return Verdict(waiting.position, waiting.key, DELAYED, attempts, due, told)

    def _count(self, verdicts: Sequence[Verdict]) -> None:
        self._sent += sum(each.state == SENT for each in verdicts)
        self._held += sum(each.state in (DELAYED, PARKED) for each in verdicts)

    def _tell(self, *, always: bool = False) -> None:
        """Say how much was sent, from time to time."""
        now = self._clock.monotonic()
        if self._sent == self._told or not (always or now >= self._tell_at):
            return
        self._told, self._tell_at = self._sent, now + _TELL_SECONDS
        failed = f", {self._held} times one was not taken" if self._held else ""
        self._announce(f"{self._sent} sent to {self._destination.address}{failed}")


def _nothing(connection: Connection) -> None:
    """Only hold on to the right."""


def _lanes(waiting: Sequence[Waiting]) -> deque[Sequence[Waiting]]:
    """Messages of one key together, in order; each without one for itself."""
    lanes: dict[str | int, list[Waiting]] = {}
    for each in waiting:
        lanes.setdefault(each.position if each.key is None else each.key, []).append(each)
    return deque(lanes.values())
