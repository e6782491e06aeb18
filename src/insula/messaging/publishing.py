"""Publishes one module's log to the broker: in its order, behind it a cursor in the module's own database."""

from __future__ import annotations

import logging
from collections.abc import Collection

import msgspec

from insula.kernel.clock import Clock
from insula.messages import Envelope
from insula.messaging.failing import described
from insula.messaging.transport import Channel, Transport, partition_of
from insula.messaging.waiting import Signal
from insula.store.database import Database, Scope, Unit

_log = logging.getLogger("insula.messaging")

PAGE = 256
"""Messages on their way to the broker at a time."""

_CURSOR_INTERVAL_SECONDS = 1.0
_POLL_SECONDS = 20.0
_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 5.0
_CURSOR = "published"


class Publisher:
    """Follows a module's log and publishes all of it but the ticks of its own schedules.

    Parameters: `receivers`, the modules elsewhere for which the broker keeps what is published.

    The cursor is saved now and then: what is published again after a crash is known to the broker by its id, and to
    each receiver by its position. A channel that the broker has lost is filled again from what the log still has.
    """

    def __init__(
        self,
        database: Database,
        transport: Transport,
        receivers: Collection[str],
        clock: Clock,
    ) -> None:
        self.source = database.name
        self.position = 0
        self.saved = 0
        """Up to where the broker has everything for sure: the log is needed from there on. 0 until it has answered."""
        self._database = database
        self._transport = transport
        self._receivers = frozenset(receivers)
        self._clock = clock
        self._awake = Signal()
        self._identity = ""
        self._stored = 0
        self._last: dict[int, int] = {}
        """Partition -> the position last published in it."""
        self._saved_last: dict[int, int] = {}
        self._save_at = 0.0
        database.on_append(self._appended)

    async def start(self) -> None:
        """Learn how far the last run came. The broker is not asked yet: a module starts without it."""
        self._identity, self.saved, self._last, self._saved_last = "", 0, {}, {}
        self.position = await self._database.cursor(_CURSOR) or 0

    def _appended(self, types: frozenset[str]) -> None:
        self._awake.set()

    async def waiting(self) -> int:
        """How far the broker is behind the log, in positions."""
        return max(0, await self._database.log_head() - self.position)

    async def run(self) -> None:
        """Publish as the log grows, until cancelled. A broker that does not answer is asked again, ever more slowly."""
        delay, reached = _FIRST_DELAY_SECONDS, self.position
        while True:
            try:
                await self._follow()
            except Exception as error:
                if self.position > reached:
                    delay, reached = _FIRST_DELAY_SECONDS, self.position
                _log.warning(
                    "the log of %s is published up to %d: %s; again in %.2f s",
                    self.source, self.position, described(error), delay,
                )  # fmt: skip
            await self._clock.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _follow(self) -> None:
        await self._open()
        while True:
            self._awake.clear()
            while await self._publish_page():
                pass
            await self._wait()

    async def step(self) -> None:
        """Publish what the log has. Raises what the transport raises."""
        await self._open()
        while await self._publish_page():
            pass

    async def _open(self) -> None:
        channel = await self._transport.open(self.source, self._receivers)
        if channel.identity != self._identity:
            await self._recall(channel)
        if channel.stored < self._stored:
            _log.error(
                "%s: the broker has lost the last %d messages that it had stored; publishing again what the log has",
                self.source, self._stored - channel.stored,
            )  # fmt: skip
            await self._begin_again(channel)
        # The last of them is sent once more: should somebody else have published here, nothing of ours is left out.
        await self._skip(channel.stored - self._stored - 1)
        self._stored = channel.stored

    async def _skip(self, count: int) -> None:
        """Pass over messages that the broker has stored without that we have heard of it."""
        while count > 0 and (records := await self._database.log_after(self.position, (), PAGE)):
            last = dict(self._last)
            for envelope in records:
                if count == 0:
                    break
                if envelope.kind != "tick":
                    self._linked(envelope, last)
                    count -= 1
                self.position = envelope.position
            self._last = last

    async def _recall(self, channel: Channel) -> None:
        """How far this channel was filled; a channel that nobody remembers is filled with all that the log has."""
        self._identity = channel.identity
        position = await self._database.cursor(self._name())
        if position is None:
            await self._begin_again(channel)
            return
        self.position = self.saved = position
        self._stored = await self._database.cursor(self._name("stored")) or 0
        found = [(each, await self._database.cursor(self._name(each))) for each in range(self._transport.partitions)]
        self._last = {partition: last for partition, last in found if last is not None}
        self._saved_last = dict(self._last)

    def _name(self, part: int | str | None = None) -> str:
        return f"{_CURSOR} to {self._identity}" if part is None else f"{_CURSOR} to {self._identity}/{part}"

    async def _begin_again(self, channel: Channel) -> None:
        """From the first message that the log has; it is remembered that the channel has nothing of them yet."""
        self.position, self._stored = max(0, await self._database.log_first() - 1), channel.stored
        self.saved, self._last, self._saved_last = -1, {}, {}
        await self.save()

    async def _publish_page(self) -> bool:
        """Publish what the log has next; returns whether there may be more."""
        records = await self._database.log_after(self.position, (), PAGE)
        if not records:
            return False
        last = dict(self._last)
        batch = [self._linked(envelope, last) for envelope in records if envelope.kind != "tick"]
        if batch:
            self._stored = await self._transport.publish(self.source, batch)
        self._last, self.position = last, records[-1].position
        if self._clock.monotonic() >= self._save_at:
            await self.save()
        return len(records) == PAGE

    def _linked(self, envelope: Envelope, last: dict[int, int]) -> Envelope:
        """The message with the position before it in its partition, so that a receiver sees what is missing."""
        partition = partition_of(envelope, self._transport.partitions)
        previous, last[partition] = last.get(partition, 0), envelope.position
        return msgspec.structs.replace(envelope, previous=previous)

    async def save(self) -> None:
        """Store the cursor, if the broker has answered."""
        position, last = self.position, self._last
        if not self._identity or position == self.saved:
            return
        changed = {self._name(each): at for each, at in last.items() if self._saved_last.get(each) != at}
        changed |= {_CURSOR: position, self._name(): position, self._name("stored"): self._stored}

        async def body(unit: Unit) -> None:
            for name, at in changed.items():
                await unit.save_cursor(name, at)

        await self._database.perform(body, Scope(f"{self.source}: cursor of what is published"))
        self.saved, self._saved_last = position, last
        self._save_at = self._clock.monotonic() + _CURSOR_INTERVAL_SECONDS

    async def _wait(self) -> None:
        """Until the log has grown; save the cursor when it is time to."""
        if self.position == self.saved:
            await self._awake.wait(_POLL_SECONDS)
            return
        seconds = self._save_at - self._clock.monotonic()
        if seconds <= 0 or not await self._awake.wait(seconds):
            await self.save()

    async def stop(self) -> None:
        """After `run` was cancelled: save the cursor."""
        await self.save()
