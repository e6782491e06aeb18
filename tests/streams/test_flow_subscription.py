"""Deliveries: so many in flight, acknowledged when they have left the end of the flow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from insula.streams import Delivery, Flow, Overflow


class FakeDelivery:
    """A message that notes its acknowledgement."""

    def __init__(self, number: int, subscription: FakeSubscription) -> None:
        self.number = number
        self._subscription = subscription

    async def ack(self) -> None:
        await asyncio.sleep(0)
        self._subscription.acknowledged.append(self.number)


class FakeSubscription:
    """Delivers numbered messages, and notes how many were out at once."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.delivered = 0
        self.most_in_flight = 0
        self.acknowledged: list[int] = []

    async def __aiter__(self) -> AsyncIterator[FakeDelivery]:
        for number in range(self.count):
            await asyncio.sleep(0)
            self.delivered += 1
            self.most_in_flight = max(self.most_in_flight, self.delivered - len(self.acknowledged))
            yield FakeDelivery(number, self)


def number_of(delivery: FakeDelivery) -> int:
    return delivery.number


async def turns() -> None:
    """Let every task go as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_delivery_is_acknowledged_when_its_taker_comes_back_for_the_next() -> None:
    subscription = FakeSubscription(3)
    items = aiter(Flow.from_subscription(subscription, in_flight=2).map(number_of))
    assert await anext(items) == 0
    assert subscription.acknowledged == []
    assert await anext(items) == 1
    assert subscription.acknowledged == [0]
    await items.aclose()
    assert subscription.acknowledged == [0]


async def number_later(delivery: Any) -> int:
    return number_of(delivery)


async def is_even(delivery: Any) -> bool:
    return bool(delivery.number % 2 == 0)


@pytest.mark.parametrize(
    "shape",
    [
        lambda flow: flow.map(number_of),
        lambda flow: flow.map(number_later, concurrency=20),
        lambda flow: flow.buffer(20),
        lambda flow: flow.batch(5),
        lambda flow: flow.batch(20, within=0.001),
        lambda flow: flow.partition(number_of, lanes=3, each=lambda lane: lane.buffer(9)),
        lambda flow: flow.filter(is_even, concurrency=3),
        lambda flow: flow.map(lambda delivery: 1 // (delivery.number % 3), divert=lambda *_: None),
        lambda flow: flow.buffer(2, overflow=Overflow.DROP_OLDEST).throttle(10000),
    ],
)
async def test_never_more_than_so_many_are_in_flight_and_each_is_acknowledged_once(shape: Any) -> None:
    subscription = FakeSubscription(50)
    async with asyncio.timeout(30):
        await shape(Flow.from_subscription(subscription, in_flight=5)).run()
    assert subscription.most_in_flight <= 5
    assert sorted(subscription.acknowledged) == list(range(50))


async def test_a_batch_is_acknowledged_as_a_whole() -> None:
    subscription = FakeSubscription(4)
    items = aiter(Flow.from_subscription(subscription, in_flight=4).map(number_of).batch(2))
    assert await anext(items) == [0, 1]
    await anext(items)
    assert subscription.acknowledged == [0, 1]
    await items.aclose()


async def test_what_fails_is_not_acknowledged_so_that_it_comes_again() -> None:
    subscription = FakeSubscription(4)
    with pytest.raises(ZeroDivisionError):
        await Flow.from_subscription(subscription, in_flight=4).map(lambda delivery: 1 // (2 - delivery.number)).run()
    assert subscription.acknowledged == [0, 1]


async def test_an_acknowledgement_that_fails_ends_the_flow() -> None:
    class Lost:
        async def ack(self) -> None:
            raise ConnectionError("broker gone")

    async def one() -> AsyncIterator[Delivery]:
        yield Lost()

    with pytest.raises(ConnectionError, match="broker gone"):
        await Flow.from_subscription(one(), in_flight=1).run()


async def test_a_slow_taker_holds_the_subscription_back() -> None:
    subscription = FakeSubscription(50)
    items = aiter(Flow.from_subscription(subscription, in_flight=3).buffer(20))
    await anext(items)
    await turns()
    assert subscription.delivered == 3
    await items.aclose()


def test_a_batch_that_could_never_fill_is_refused_with_what_to_change() -> None:
    flow = Flow.from_subscription(FakeSubscription(1), in_flight=10)
    with pytest.raises(ValueError, match=r"1\. batch\(11\) may wait for 11 items, but only in_flight=10"):
        flow.batch(11)
    with pytest.raises(ValueError, match=r"may wait for 12 items"):
        flow.batch(4).batch(3)
    with pytest.raises(ValueError, match=r"partition\(number_of\) may wait for 13 items"):
        flow.partition(number_of, lanes=4, each=lambda lane: lane.batch(4))
    assert flow.batch(10) is not flow


async def test_the_largest_batches_that_are_allowed_do_fill() -> None:
    subscription = FakeSubscription(100)
    flow = Flow.from_subscription(subscription, in_flight=13)
    async with asyncio.timeout(30):
        await flow.partition(number_of, lanes=4, each=lambda lane: lane.batch(4)).run()
    assert sorted(subscription.acknowledged) == list(range(100))
