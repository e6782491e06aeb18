"""Gives one receiver its share of what a module elsewhere publishes: in order per key, acknowledged once taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from insula.kernel.clock import Clock
from insula.kernel.errors import ConfigurationError, Failure, Unavailable
from insula.messaging.epoch import epoch_of
from insula.messaging.failing import described, weight
from insula.messaging.lane import Entry, Gap, Lane
from insula.messaging.needless import Needless
from insula.messaging.receiver import Receiver
from insula.messaging.transport import (
    Begin,
    Delivery,
    Subscription,
    Transport,
    joined_cursor,
    log_cursor,
    partition_cursor,
    partitions_of,
    shares_cursor,
)
from insula.messaging.waiting import Signal, land
from insula.store.database import Scope, Unit

_log = logging.getLogger("insula.messaging")

WINDOW = 1024
"""Messages of one source that one receiver may have without having acknowledged them."""

_REMEMBER_SECONDS = 0.02
"""How long what was taken waits for others, so that they are remembered in one commit."""

_POLL_SECONDS = 20.0
_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 5.0
_GAP_SECONDS = 5.0
_LONGEST_GAP_SECONDS = 300.0


class MessageUnknown(Failure):
    """A message of a type that this version of the system does not know; a newer one does, so it waits."""


class Subscriber:
    """Reads a share of one source's channel for one receiver.

    Parameters: `share`; `known`, the wire names of all messages of the system: others wait for a newer version
    (default: none do); `begin`, where to begin when nothing was ever read (default: with what comes).

    How far each partition was taken is stored in the receiver's database before anything is acknowledged. So what comes
    again is recognised, and what is missing shows.
    """

    def __init__(
        self,
        source: str,
        receiver: Receiver,
        transport: Transport,
        clock: Clock,
        *,
        share: int = 0,
        known: Container[str] | None = None,
        begin: Begin = "now",
    ) -> None:
        self.source = source
        self.receiver = receiver
        self.share = share
        self._all, self._shares = transport.partitions, transport.shares
        self.partitions = partitions_of(share, self._all, self._shares)
        self.on_unknown: Callable[[], None] = _nothing
        """Called when a message came that a newer version of the system has to take."""
        self.gaps: dict[int, Gap] = {}
        """Partition -> what is missing in it, once that has been told."""
        self._transport = transport
        self._clock = clock
        self._known = known
        self._begin = begin
        self._lanes: dict[int, Lane] = {}
        self._needless = Needless(source, share, receiver.database, transport.partitions, clock)
        self._awake = Signal()
        self._subscription: Subscription | None = None
        self._flying: set[asyncio.Task[None]] = set()
        self._later: set[asyncio.Task[None]] = set()
        self._mending: set[int] = set()
        self._watched: set[int] = set()
        self._passed: list[Delivery] = []
        self._epoch = 0
        self._unremembered = 0
        self._remember_at: float | None = None
        self._settling: asyncio.Task[None] | None = None
        self._landing = False
        self._progress = 0

    @property
    def name(self) -> str:
        """Who reads whom."""
        return f"{self.source} → {self.receiver.module}"

    @property
    def saved(self) -> int:
        """A position in the source's log up to which everything was taken that has arrived."""
        lanes = self._lanes.values()
        held = [lane.remembered or 0 for lane in lanes if lane.has_unremembered]
        return min(held) if held else max((lane.remembered or 0 for lane in lanes), default=0)

    async def start(self) -> None:
        """Learn how far each partition was taken. The broker is not asked yet: a module starts without it.

        A module whose source ran in the same process until now goes on where that ended.
        Raises ConfigurationError for another number of partitions or shares than were read before.
        """
        self._forget()
        together, shares = await self._cursor(log_cursor(self.source)), await self._cursor(shares_cursor(self.source))
        other = together is not None and together < 0 and (-together != self._all or shares not in (None, self._shares))
        if together is not None and other:
            raise ConfigurationError(
                f"{self.receiver.module} has read the log of {self.source} in {-together} partitions and {shares} "
                f"shares, not in {self._all} and {self._shares}; give the transport those numbers"
            )
        joined = await self._cursor(joined_cursor(self.source)) if together is None or together < 0 else together
        own: dict[str, int] = {}
        for partition in self.partitions:
            found = await self._cursor(partition_cursor(self.source, partition))
            known = max((position for position in (found, joined) if position is not None), default=None)
            self._lanes[partition] = Lane(known)
            if known is not None and known != found:
                own[partition_cursor(self.source, partition)] = known
        if together is None or together >= 0:  # from now on each partition is read by itself
            if together is not None:
                own[joined_cursor(self.source)] = together
            own[log_cursor(self.source)] = -self._all
        if shares != self._shares:
            own[shares_cursor(self.source)] = self._shares
        await self._save(own)

    def _cursor(self, name: str) -> Coroutine[Any, Any, int | None]:
        return self.receiver.database.cursor(name)

    def _forget(self) -> None:
        """Whoever reads again after another process has read knows nothing any more."""
        self.gaps, self._lanes = {}, {}
        self._mending, self._watched, self._passed = set(), set(), []
        self._unremembered, self._remember_at, self._landing = 0, None, False
        self._needless.ended()

    async def vouch(self) -> None:
        """Store up to where marks are needed no more, for whoever deletes them."""
        await self._needless.vouch(self._lanes.values())

    async def _save(self, cursors: Mapping[str, int]) -> None:
        if not cursors:
            return

        async def body(unit: Unit) -> None:
            for name, position in cursors.items():
                await unit.save_cursor(name, position)

        await self.receiver.database.perform(body, Scope(f"{self.receiver.module}: cursor on the log of {self.source}"))

    async def run(self) -> None:
        """Take what comes, until cancelled. A broker that does not answer is asked again, ever more slowly."""
        delay = _FIRST_DELAY_SECONDS
        while True:
            before = self._progress
            try:
                await self._follow()
            except Exception as error:
                if self._progress > before:
                    delay = _FIRST_DELAY_SECONDS
                _log.log(weight(error, delay), "%s: %s; again in %.2f s", self.name, described(error), delay)
            await self._clock.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _follow(self) -> None:
        subscription = await self._transport.subscribe(
            self.source, self.receiver.module, self.share, arrived=self._awake.set, window=WINDOW, begin=self._begin
        )
        self._subscription = subscription
        self._needless.subscribed(subscription)
        try:
            while True:
                self._awake.clear()
                self._take_in(subscription.take())
                self._settle(subscription)
                await self._awake.wait(self._seconds_to_wait())
        except Exception:
            self._needless.ended()
            await self._settled()
            await subscription.close()
            raise

    def _take_in(self, deliveries: Sequence[Delivery]) -> None:
        touched = set()
        for delivery in deliveries:
            self._notice_epoch(delivery)
            if not self._lanes[delivery.partition].arrive(delivery):
                self._passed.append(delivery)
            touched.add(delivery.partition)
        for partition in touched:
            self._begin_in(partition)
            if partition not in self._watched and self._lanes[partition].gap() is not None:
                self._watched.add(partition)
                self._do_later(self._watch(partition))

    def _notice_epoch(self, delivery: Delivery) -> None:
        """Tell of a source whose log begins anew."""
        epoch, before = epoch_of(delivery.envelope.position), self._lanes[delivery.partition].remembered
        if before is None or epoch <= max(self._epoch, epoch_of(before)):
            return
        self._epoch = epoch
        _log.error(
            "%s: the log of %s has a new epoch, %d: it was restored from a backup, or replaced. %s goes on with what "
            "follows; what it has taken before and %s has forgotten is to be put right by hand: compare their data; "
            "`insula trace` has what the logs of others tell of a message",
            self.name, self.source, epoch, self.receiver.module, self.source,
        )  # fmt: skip

    def _begin_in(self, partition: int) -> None:
        lane, create_task = self._lanes[partition], asyncio.get_running_loop().create_task
        heard, known = self.receiver.types, self._known
        while not self._landing and (entry := lane.next()) is not None:
            envelope = entry.envelope
            if envelope.type in heard:
                task = create_task(self._fly(partition, lane, entry))
                self._flying.add(task)
                task.add_done_callback(self._flying.discard)
            elif known is None or envelope.type in known:
                self._taken(lane, entry)
            else:
                unknown = MessageUnknown(
                    f"{self.source} publishes {envelope.type}, which this version of the system does not know: it and "
                    "what follows it in its partition wait for a newer version"
                )
                self._failed(partition, lane, entry, unknown)
                self.on_unknown()

    async def _fly(self, partition: int, lane: Lane, entry: Entry) -> None:
        envelope = entry.envelope
        try:
            await self.receiver.deliver(envelope)
        except asyncio.CancelledError:
            cancelled = Failure(f"the delivery of {envelope.type} {envelope.id} was cancelled")
            self._failed(partition, lane, entry, cancelled)
        except BaseException as error:  # whatever it is, what comes after it must not wait in silence
            self._failed(partition, lane, entry, error)
        else:
            self._taken(lane, entry)

    def _failed(self, partition: int, lane: Lane, entry: Entry, error: BaseException) -> None:
        lane.failed(entry, error)
        if lane.failure is not None and partition not in self._mending and not self._landing:
            self._mending.add(partition)
            self._do_later(self._mend(partition, lane))

    def _taken(self, lane: Lane, entry: Entry) -> None:
        lane.taken(entry)
        self._unremembered += 1
        if self._settling is None and (self._remember_at is None or self._unremembered == WINDOW // 4):
            self._awake.set()

    def _do_later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _mend(self, partition: int, lane: Lane) -> None:
        """Try again what failed, once everything of its partition has landed."""
        delay = min(_FIRST_DELAY_SECONDS * 2 ** min(lane.failures - 1, 40), _LONGEST_DELAY_SECONDS)
        if lane.failure is not None:
            _log.warning("%s: %s; again in %.2f s", self.name, described(lane.failure), delay)
        await self._clock.sleep(delay)
        while not lane.is_still:
            await asyncio.wait(tuple(self._flying), return_when=asyncio.FIRST_COMPLETED)
        self._mending.discard(partition)
        lane.mend()
        self._begin_in(partition)

    async def _watch(self, partition: int) -> None:
        """Tell of what is missing, again and again, until it comes."""
        seconds, told = _GAP_SECONDS, None
        while (gap := self._lanes[partition].gap()) is not None:
            if gap == told:
                self.gaps[partition] = gap
                _log.error(
                    "%s: what stands between %d and %d in partition %d of the log of %s has not arrived; nothing after "
                    "it is taken until it does. If it was deleted at the broker, delete the whole channel: %s "
                    "publishes again what its log has, and nothing is taken twice",
                    self.name, gap.after, gap.before, partition, self.source, self.source,
                )  # fmt: skip
                seconds = min(seconds * 2, _LONGEST_GAP_SECONDS)
            told = gap
            await self._clock.sleep(seconds)
        self.gaps.pop(partition, None)
        self._watched.discard(partition)

    def _seconds_to_wait(self) -> float:
        if self._remember_at is None:
            return _POLL_SECONDS
        return max(0.0, self._remember_at - self._clock.monotonic())

    def _settle(self, subscription: Subscription) -> None:
        """Begin to remember and acknowledge what was taken, when it is time. Raises what the last time failed with."""
        if self._settling is not None:
            if not self._settling.done():
                return
            settled, self._settling = self._settling, None
            settled.result()
        now = self._clock.monotonic()
        if self._remember_at is None and self._unremembered:
            self._remember_at = now + _REMEMBER_SECONDS
        due = self._remember_at is not None and now >= self._remember_at
        if due or self._unremembered >= WINDOW // 4 or self._passed:
            self._settling = asyncio.get_running_loop().create_task(self._acknowledge_taken(subscription))
            self._settling.add_done_callback(lambda _: self._awake.set())

    async def _acknowledge_taken(self, subscription: Subscription) -> None:
        passed, self._passed = self._passed, []
        await subscription.acknowledge([*passed, *await self._remember()])

    async def _remember(self) -> Sequence[Delivery]:
        """Store how far each partition was taken; returns what may be acknowledged."""
        counted, self._remember_at = self._unremembered, None
        reached = [(partition, lane, lane.to_remember()) for partition, lane in self._lanes.items()]
        changed = [(partition, lane, at) for partition, lane, at in reached if at is not None]
        if not changed:
            self._unremembered -= counted
            return ()

        await self._save({partition_cursor(self.source, partition): at for partition, _, at in changed})
        self._unremembered -= counted
        self._progress += 1
        return [delivery for _, lane, at in changed for delivery in lane.remember(at)]

    async def _settled(self) -> None:
        """Let what is being remembered be remembered; if that fails, it comes again."""
        settling, self._settling = self._settling, None
        if settling is not None:
            await asyncio.wait((settling,))
            if not settling.cancelled() and (error := settling.exception()) is not None:
                _log.warning("%s: %s", self.name, described(error))

    async def land(self, seconds: float) -> None:
        """After `run` was cancelled: let what is on its way end; what has not after that many seconds is cancelled."""
        self._landing = True
        later = tuple(self._later)
        for task in later:
            task.cancel()
        if later:
            await asyncio.wait(later)
        await land(tuple(self._flying), seconds)

    async def stop(self) -> None:
        """Then: remember what was taken, and give the rest back to the broker."""
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        try:
            await self._settled()
            done = await self._remember()
            with suppress(Unavailable):  # what is remembered is only acknowledged when it comes again
                await subscription.acknowledge(done)
        finally:
            await subscription.close()


def _nothing() -> None:
    """Nobody listens yet."""
