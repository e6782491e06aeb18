"""Publishes one module's log to the broker: in its order, behind it a cursor in the module's own database."""

from __future__ import annotations

import logging
from collections.abc import Collection

import msgspec

from insula.kernel.clock import Clock
from insula.messages import Envelope
from insula.messaging.epoch import epoch_after, published
from insula.messaging.failing import described, weight
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
_EPOCH = "epoch of the log"


class Publisher:
    """Follows a module's log and publishes all of it but the ticks of its own schedules.

    Parameters: `receivers`, the modules elsewhere for which the broker keeps what is published.

    The cursor is saved now and then: what is published again after a crash is known to the broker by its id, and to
    each receiver by its position. A channel that the broker has lost is filled again from what the log still has. A log
    that has lost its end, since it was restored from a backup, begins a new epoch.
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
        self._epoch = 0
        self._ours: int | None = None
        """No other process has published what stands behind this; None once we have published ourselves."""
        self._last: dict[int, int] = {}
        """Partition -> the position last published in it."""
        self._saved_last: dict[int, int] = {}
        self._save_at = 0.0
        database.on_append(self._appended)

    async def start(self) -> None:
        """Learn how far the last run came. The broker is not asked yet: a module starts without it."""
        self._identity, self.saved, self._last, self._saved_last = "", 0, {}, {}
        self._epoch = await self._database.cursor(_EPOCH) or 0
        self._ours = await self._database.log_head()
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
                _log.log(
                    weight(error, delay), "the log of %s is published up to %d: %s; again in %.2f s",
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
        if channel.identity != self._identity and not await self._recall(channel):
            return
        if channel.stored < self._stored:
            _log.error(
                "%s: the broker has lost the last %d messages that it had stored; publishing again what the log has",
                self.source, self._stored - channel.stored,
            )  # fmt: skip
            await self._begin_again(channel)
        # The last of them is sent once more: should somebody else have published here, nothing of ours is left out.
        began, last = self.position, self._last
        if await self._skip(channel.stored - self._stored - 1) > 0:
            self.position, self._last = began, last
            await self._begin_epoch(channel)
        self._stored, self._ours = channel.stored, None

    async def _skip(self, count: int) -> int:
        """Pass over messages that the broker has stored without that we have heard of it.

        Returns how many of them the log does not have.
        """
        while count > 0 and (records := await self._database.log_after(self.position, (), PAGE)):
            last = dict(self._last)
            for envelope in records:
                if count == 0:
                    break
                if self._ours is not None and envelope.position > self._ours:
                    return count
                if envelope.kind != "tick":
                    self._linked(envelope, last)
                    count -= 1
                self.position = envelope.position
            self._last = last
        return count

    async def _begin_epoch(self, channel: Channel) -> None:
        """Publish from the position on as what has not been there before, though its positions have."""
        self._epoch = epoch_after(self._epoch, self._clock.now())
        _log.error(
            "the broker has messages of %s that its log does not have: it was restored from a backup, or replaced. "
            "A new epoch begins, %d; what others have heard of %s and it has forgotten is to be put right by hand",
            self.source, self._epoch, self.source,
        )  # fmt: skip
        self._stored, self.saved, self._last, self._saved_last = channel.stored, -1, {}, {}
        await self.save()

    async def _recall(self, channel: Channel) -> bool:
        """How far this channel was filled; a channel that nobody remembers is filled with all that the log has.

        Returns whether it was remembered.
        """
        self._identity = channel.identity
        position = await self._database.cursor(self._name())
        if position is None:
            await self._begin_again(channel)
            if channel.stored:  # and yet it was filled, by a log that knew of it
                await self._begin_epoch(channel)
            self._ours = None
            return False
        self.position = self.saved = position
        self._stored = await self._database.cursor(self._name("stored")) or 0
        found = [(each, await self._database.cursor(self._name(each))) for each in range(self._transport.partitions)]
        self._last = {partition: last for partition, last in found if last is not None}
        self._saved_last = dict(self._last)
        return True

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
        partition, position = (
            partition_of(envelope, self._transport.partitions),
            published(envelope.position, self._epoch),
        )
        previous, last[partition] = last.get(partition, 0), position
        return msgspec.structs.replace(envelope, position=position, previous=previous)

    async def save(self) -> None:
        """Store the cursor, if the broker has answered."""
        position, last = self.position, self._last
        if not self._identity or position == self.saved:
            return
        changed = {self._name(each): at for each, at in last.items() if self._saved_last.get(each) != at}
        changed |= {_EPOCH: self._epoch, _CURSOR: position, self._name(): position, self._name("stored"): self._stored}

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
