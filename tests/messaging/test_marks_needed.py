"""Marks are kept as long as their messages may come again, or their effects would take place twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from contracts.transport.modules import Receiving, ended, opened
from contracts.transport.reading import message
from insula.kernel.errors import Unavailable
from insula.messaging.needless import REDELIVERY_SECONDS
from insula.messaging.subscribing import Subscriber
from insula.messaging.transport import Delivery, log_cursor, needless_cursor, partition_cursor
from insula.store.database import Scope, Unit
from insula.testing import VirtualClock, virtual_time


class Broker:
    """A broker, or what the network lets through of it. Parameters: `deliveries`, that arrive at once."""

    partitions = 2

    def __init__(self, *deliveries: Delivery, shares: int = 1) -> None:
        self.shares = shares
        self.away = self.empty = False
        self.deliveries = list(deliveries)
        self.asked = asyncio.Event()

    async def subscribe(self, source: str, receiver: str, share: int, *, arrived: Callable[[], None], **_: Any) -> Any:
        self.asked.set()
        if self.away:
            raise Unavailable("the broker does not answer")
        arrived()
        return self

    def take(self) -> Sequence[Delivery]:
        taken, self.deliveries = self.deliveries, []
        return taken

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None: ...

    async def is_empty(self) -> bool:
        return self.empty

    async def close(self) -> None: ...


@asynccontextmanager
async def started(folder: Path, broker: Broker, clock: VirtualClock) -> AsyncIterator[tuple[Subscriber, Receiving]]:
    """A receiver that an earlier run has left at 50 in one partition and at 100 in the other."""
    cursors = {log_cursor("source"): -2, partition_cursor("source", 0): 50, partition_cursor("source", 1): 100}

    async def body(unit: Unit) -> None:
        for name, position in cursors.items():
            await unit.save_cursor(name, position)

    async with opened(folder, "reading") as database:
        await database.perform(body, Scope("test"))
        receiver = Receiving(database)
        receiver.gates["slow"] = asyncio.Event()
        subscriber = Subscriber("source", receiver, broker, clock)  # type: ignore[arg-type]  # fakes
        await subscriber.start()
        run = asyncio.create_task(subscriber.run())
        try:
            await broker.asked.wait()
            await asyncio.sleep(0)
            yield subscriber, receiver
        finally:
            await ended(run)
            receiver.gates["slow"].set()
            await subscriber.land(0.2)
            await subscriber.stop()


async def test_what_an_earlier_run_has_taken_and_not_remembered_keeps_its_mark_while_the_broker_is_away(
    tmp_path: Path,
) -> None:
    broker = Broker()
    broker.away = True
    with virtual_time() as clock:
        async with started(tmp_path, broker, clock) as (subscriber, _):
            clock.advance(10 * REDELIVERY_SECONDS)
            assert await vouched(subscriber) == 50  # 60, in the first partition, may have been taken before a crash


async def test_a_partition_in_which_nothing_comes_holds_up_no_marks_once_it_would_have_come(tmp_path: Path) -> None:
    with virtual_time() as clock:
        async with started(tmp_path, Broker(), clock) as (subscriber, _):
            assert await vouched(subscriber) == 50
            clock.advance(REDELIVERY_SECONDS + 1)
            assert await vouched(subscriber) == 100


async def test_a_share_in_which_nothing_comes_holds_up_no_marks_once_the_broker_has_nothing_of_it(
    tmp_path: Path,
) -> None:
    """What others had read before was published before: it has come to this share too."""
    with virtual_time() as clock:
        broker = Broker(shares=2)
        async with started(tmp_path, broker, clock) as (subscriber, receiver):
            assert list(subscriber.partitions) == [0]
            await receiver.database.perform(read_on_elsewhere, Scope("test"))
            clock.advance(REDELIVERY_SECONDS + 1)
            assert await vouched(subscriber) == 50  # the broker may have been slow, and has something still
            broker.empty = True
            assert await vouched(subscriber) == 200


async def test_a_broker_that_has_nothing_need_not_be_waited_for(tmp_path: Path) -> None:
    with virtual_time() as clock:
        broker = Broker()
        broker.empty = True
        async with started(tmp_path, broker, clock) as (subscriber, _):
            assert await vouched(subscriber) == 100


async def read_on_elsewhere(unit: Unit) -> None:
    """Another process takes what came in the other partition."""
    await unit.save_cursor(partition_cursor("source", 1), 200)


async def vouched(subscriber: Subscriber) -> int | None:
    """What the subscriber has stored."""
    await subscriber.vouch()
    return await subscriber.receiver.database.cursor(needless_cursor("source", 0))


async def test_a_message_under_way_keeps_its_mark(tmp_path: Path) -> None:
    """One of its two consumers may have taken it, or both, just now."""
    with virtual_time() as clock:
        broker = Broker(Delivery(message(60, key="slow", previous=50), 0))
        async with started(tmp_path, broker, clock) as (subscriber, receiver):
            clock.advance(REDELIVERY_SECONDS + 1)
            async with asyncio.timeout(10):
                await receiver.until(lambda: receiver.attempts == [60])
            assert await vouched(subscriber) == 50
