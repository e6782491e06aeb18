"""Reading a topic: a consumer on a thread of its own, which is given room for as much as the window holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from insula.adapters.kafka.channels import Channels, Topic
from insula.adapters.kafka.connection import KafkaConnection
from insula.adapters.kafka.faults import described, error_of, is_cut_off, is_unreachable
from insula.adapters.kafka.progress import Progress
from insula.kernel.errors import Unavailable
from insula.messages import MessageInvalid, from_cloudevent
from insula.messaging.transport import Delivery

_log = logging.getLogger("insula.kafka")

_POLL_SECONDS = 0.05
_CLOSE_SECONDS = 2.0
_LOOK_SECONDS = 3.0
_ANEW = "it was made anew, or has lost its end"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a delivery is acknowledged by. Parameters: `of`, the subscription; offsets mean nothing to another one."""

    of: object
    offset: int


class KafkaSubscription:
    """One receiver's reading of one share of a topic. Implements `Subscription`.

    Every partition of it is assigned by hand, from the offset that is remembered. So nobody waits for a group to agree
    on who reads what, and another subscription takes nothing away from this one. At most `window` messages are given
    that do not lie behind what is remembered; then the consumer is not asked for more, and it fetches no more than a
    little.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        channels: Channels,
        topic: Topic,
        receiver: str,
        starts: Mapping[int, int],
        arrived: Callable[[], None],
        window: int,
    ) -> None:
        self._connection = connection
        self._channels = channels
        self._topic = topic
        self._receiver = receiver
        self._arrived = arrived
        self._window = window
        self._loop = asyncio.get_running_loop()
        self._progress = {partition: Progress(start) for partition, start in starts.items()}
        self._remembered = dict(starts)
        self._remembering = asyncio.Lock()
        self._changed = Condition()
        """Guards what the thread and the event loop share: `_ready`, `_progress` and `_ended`."""
        self._ready: list[Delivery] = []
        self._ended = ""
        self._read = self._loop.create_future()
        self._watching: asyncio.Task[None] | None = None
        settings = connection.client_settings(_settings(channels.group(receiver), window), self._heard)
        name = f"{topic.name} → {receiver}"
        self._thread = Thread(target=self._run, args=(settings, dict(starts)), name=name, daemon=True)

    @property
    def is_open(self) -> bool:
        """Whether it still reads."""
        return not self._read.done()

    def open(self) -> None:
        """Begin to read."""
        self._thread.start()
        self._watching = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        """Notice a topic that was deleted: the consumer itself waits for one of that name, and then goes on in it."""
        while not self._ended:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                if not await self._channels.is_current(self._topic):
                    self.end(_ANEW)
            except KafkaException as error:
                said = error_of(error)
                if is_unreachable(said):
                    self.end(said.str())
                else:
                    _log.warning("%s: looking after the topic: %s", self._topic.name, said.str())

    def take(self) -> Sequence[Delivery]:
        """What has arrived since. Raises `Unavailable` once nothing can arrive any more."""
        self._check()
        with self._changed:
            taken, self._ready = self._ready, []
        return taken

    def _check(self) -> None:
        if self._ended:
            raise Unavailable(f"{self._connection.address}: {self._topic.name}: {self._ended}")

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Remember up to where everything was acknowledged, in each partition."""
        self._check()
        with self._changed:
            for delivery in deliveries:
                receipt = delivery.receipt
                if isinstance(receipt, Receipt) and receipt.of is self:  # else it has come again
                    self._progress[delivery.partition].acknowledged(receipt.offset)
            self._changed.notify()
        await self._remember()

    async def _remember(self) -> None:
        async with self._remembering:
            with self._changed:
                reached = {partition: progress.reached for partition, progress in self._progress.items()}
            new = {partition: at for partition, at in reached.items() if at != self._remembered[partition]}
            with self._connection.told(f"remembering how far {self._receiver} has read {self._topic.name}"):
                await self._channels.remember(self._topic, self._receiver, new)
            self._remembered |= new

    async def is_empty(self) -> bool:
        """Whether what the topic has now was all acknowledged and remembered."""
        with self._connection.told(f"looking at the end of {self._topic.name}"):
            ends = await self._channels.ends(self._topic)
        return not self._ended and all(at >= ends[partition] for partition, at in self._remembered.items())

    async def close(self) -> None:
        """Read no more. What was not acknowledged comes again to the next subscription."""
        self.end("closed")
        if self._watching is not None:
            self._watching.cancel()
        if self._thread.is_alive():
            await asyncio.wait([self._read], timeout=_CLOSE_SECONDS)

    def end(self, reason: str) -> None:
        """Give nothing more; whoever takes is told why."""
        with self._changed:
            self._ended = self._ended or reason
            self._changed.notify()
        self._tell(self._arrived)

    def _tell(self, listener: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nobody listens
            self._loop.call_soon_threadsafe(listener)

    def _heard(self, error: KafkaError) -> None:
        if is_cut_off(error):
            self.end(error.str())

    def _run(self, settings: dict[str, Any], starts: Mapping[int, int]) -> None:
        try:
            consumer = Consumer(settings)
            try:
                consumer.assign([TopicPartition(self._topic.name, each, at) for each, at in starts.items()])
                self._follow(consumer)
            finally:
                consumer.close()
        except Exception as error:  # whatever it is, nobody may wait for what this thread will not bring
            self.end(described(error))
        finally:
            self._tell(self._finished)

    def _finished(self) -> None:
        if not self._read.done():
            self._read.set_result(None)

    def _follow(self, consumer: Consumer) -> None:
        while not self._ended:
            room = self._room()
            if room <= 0:
                continue
            first = consumer.poll(_POLL_SECONDS)
            if first is not None:
                rest = consumer.consume(room - 1, 0) if room > 1 else []
                self._take_in([first, *rest])

    def _room(self) -> int:
        """How many more may be given; waits a moment where none may."""
        with self._changed:
            room = self._window - sum(map(len, self._progress.values()))
            if room <= 0 and not self._ended:
                self._changed.wait(1.0)
            return room

    def _take_in(self, messages: Sequence[Message]) -> None:
        deliveries = []
        for message in messages:
            error = message.error()
            if error is not None:
                self.end(error.str())
                break
            delivery = self._delivery(message)
            if delivery is not None:
                deliveries.append(delivery)
        if deliveries:
            with self._changed:
                self._ready += deliveries
            self._tell(self._arrived)

    def _delivery(self, message: Message) -> Delivery | None:
        partition, offset = message.partition() or 0, message.offset() or 0
        with self._changed:
            progress = self._progress[partition]
            is_next = progress.given(offset)
        if not is_next:
            self.end(_ANEW)
            return None
        try:
            return Delivery(from_cloudevent(message.value() or b""), partition, Receipt(self, offset))
        except MessageInvalid as error:
            _log.error(
                "%s: offset %d of partition %d holds what is no message of Insula: %s",
                self._topic.name, offset, partition, error,
            )  # fmt: skip
            with self._changed:
                progress.acknowledged(offset)
            return None


def _settings(group: str, window: int) -> dict[str, Any]:
    """A consumer that remembers nothing by itself, and holds little more than the window."""
    return {
        "group.id": group,  # it never joins it, and commits nothing by itself
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "queued.min.messages": window,
        "queued.max.messages.kbytes": 16_384,
        "fetch.queue.backoff.ms": 20,
        "fetch.error.backoff.ms": 100,
    }
