"""What every transport promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from contracts.transport.brokers import Broker
from contracts.transport.reading import message, positions, reading
from insula.kernel.errors import Unavailable
from insula.messaging.transport import Transport, partition_of


@asynccontextmanager
async def process(broker: Broker) -> AsyncIterator[Transport]:
    """The access of one process; half a minute for all of it."""
    transport = broker.transport()
    async with asyncio.timeout(30):
        try:
            yield transport
        finally:
            await transport.close()


async def test_what_is_published_arrives_whole_and_in_its_order(broker: Broker) -> None:
    async with process(broker) as transport:
        sent = [message(number, key=f"key {number % 7}", previous=number - 1) for number in range(1, 201)]
        async with reading(transport, window=500) as reader:
            assert await transport.publish("source", sent) == 200
            arrived = await reader.next(200)
    assert [delivery.envelope for delivery in arrived] == sent


async def test_every_receiver_gets_everything(broker: Broker) -> None:
    async with process(broker) as transport, reading(transport, "one") as one, reading(transport, "two") as two:
        await transport.publish("source", [message(1), message(2)])
        assert positions(await one.next(2)) == positions(await two.next(2)) == [1, 2]


async def test_a_receiver_known_to_the_source_misses_nothing_that_is_published_before_it_reads(broker: Broker) -> None:
    async with process(broker) as transport:
        await transport.open("source", ["reading"])
        await transport.publish("source", [message(1)])
        async with reading(transport) as reader:
            assert positions(await reader.next(1)) == [1]


async def test_a_new_receiver_begins_with_what_comes(broker: Broker) -> None:
    async with process(broker) as transport:
        await transport.open("source", ["other"])
        await transport.publish("source", [message(1)])
        async with reading(transport) as reader:
            await transport.publish("source", [message(2)])
            assert positions(await reader.next(1)) == [2]


async def test_a_new_receiver_that_is_told_to_begins_with_the_oldest_that_is_kept(broker: Broker) -> None:
    async with process(broker) as transport:
        await transport.open("source", ["other"])
        await transport.publish("source", [message(1), message(2)])
        async with reading(transport, begin="first") as reader:
            assert positions(await reader.next(2)) == [1, 2]


async def test_a_message_id_that_was_stored_is_not_stored_again(broker: Broker) -> None:
    async with process(broker) as transport, reading(transport) as reader:
        assert await transport.publish("source", [message(1), message(2)]) == 2
        assert await transport.publish("source", [message(1), message(2), message(3)]) == 3
        assert positions(await reader.next(3)) == [1, 2, 3]
        assert await reader.nothing()


async def test_no_more_than_the_window_is_unacknowledged(broker: Broker) -> None:
    async with process(broker) as transport, reading(transport, window=4) as reader:
        await transport.publish("source", [message(number) for number in range(1, 9)])
        first = await reader.next(4)
        assert await reader.nothing()
        await reader.acknowledge(first[:3])
        assert positions(await reader.next(3)) == [5, 6, 7]
        assert await reader.nothing()


async def test_what_was_not_acknowledged_comes_again_first_and_in_order_to_the_next_subscription(
    broker: Broker,
) -> None:
    async with process(broker) as transport:
        async with reading(transport, window=10) as reader:
            await transport.publish("source", [message(number) for number in range(1, 6)])
            arrived = await reader.next(5)
            await reader.acknowledge([arrived[0], arrived[1], arrived[3]])
        await transport.publish("source", [message(6)])
        async with reading(transport, window=10) as again:
            came = [each for each in positions(await again.next(3)) if each != 4]
            came += [] if 6 in came else positions(await again.next(1))
    assert came == [3, 5, 6]


async def test_what_a_process_had_that_ended_without_a_word_comes_to_another_at_once(broker: Broker) -> None:
    async with process(broker) as first, reading(first) as gone:
        await first.publish("source", [message(1), message(2)])
        await gone.next(2)
        await first.close()  # its connection only, as a crash does
        async with process(broker) as second, reading(second) as other:
            assert positions(await other.next(2)) == [1, 2]


async def test_what_was_acknowledged_does_not_come_again(broker: Broker) -> None:
    async with process(broker) as transport:
        async with reading(transport) as reader:
            await transport.publish("source", [message(1), message(2)])
            await reader.acknowledge(await reader.next(2))
        async with reading(transport) as again:
            assert await again.nothing()


async def test_partitions_are_those_of_the_keys(broker_alone: Broker) -> None:
    async with process(broker_alone) as transport, reading(transport) as reader:
        sent = [message(number, key=None if number % 3 else f"key {number}") for number in range(1, 31)]
        await transport.publish("source", sent)
        arrived = await reader.next(30)
        assert {each.partition for each in arrived} == {0, 1, 2, 3}
        assert all(each.partition == partition_of(each.envelope, 4) for each in arrived)


async def test_while_the_broker_is_away_everything_is_unavailable_and_afterwards_what_was_stored_is_there(
    broker_alone: Broker,
) -> None:
    broker = broker_alone
    async with process(broker) as transport, reading(transport) as reader:
        before = await transport.open("source", ["reading"])
        await transport.publish("source", [message(1), message(2)])
        broker.stop()
        with pytest.raises(Unavailable):
            await reader.next(9)
        with pytest.raises(Unavailable):
            await transport.publish("source", [message(3)])
        with pytest.raises(Unavailable):
            await transport.open("source", ["reading"])
        broker.start()
        after = await reached(transport)
        assert (after.identity, after.stored) == (before.identity, 2)
        assert await transport.publish("source", [message(2), message(3)]) == 3
        async with reading(transport) as again:
            assert positions(await again.next(3)) == [1, 2, 3]


async def reached(transport: Transport) -> object:
    """The channel, once the transport has found the broker again."""
    while True:
        try:
            return await transport.open("source", ["reading"])
        except Unavailable:
            await asyncio.sleep(0)


async def test_a_channel_that_was_lost_is_made_anew_and_tells_so(broker: Broker) -> None:
    async with process(broker) as transport:
        before = await transport.open("source", ["reading"])
        await transport.publish("source", [message(1)])
        await broker.forget("source")
        after = await transport.open("source", ["reading"])
        assert after.identity != before.identity
        assert after.stored == 0


async def test_nothing_can_be_published_to_a_channel_that_was_lost_until_it_is_opened(broker: Broker) -> None:
    async with process(broker) as transport:
        await transport.open("source", ["reading"])
        await transport.publish("source", [message(1)])
        await broker.forget("source")
        with pytest.raises(Unavailable):
            await transport.publish("source", [message(2)])
        await transport.open("source", ["reading"])
        assert await transport.publish("source", [message(2)]) == 1
