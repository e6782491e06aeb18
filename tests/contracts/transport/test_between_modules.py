"""From one module's log over a transport to another module: at least once, in order, whatever stops in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.transport.brokers import Broker
from contracts.transport.modules import CLOCK, Receiving, append, holds, opened, publishing, subscribed
from contracts.transport.reading import message
from insula.adapters.sqlite.database import SqliteDatabase
from insula.messaging import subscribing
from insula.messaging.publishing import Publisher


@asynccontextmanager
async def two_modules(folder: Path) -> AsyncIterator[tuple[SqliteDatabase, Receiving]]:
    """A source and a receiver; half a minute for all of it."""
    async with asyncio.timeout(30), opened(folder, "source") as source, opened(folder, "reading") as target:
        yield source, Receiving(target)


async def test_what_a_module_commits_arrives_at_the_other(broker_alone: Broker, tmp_path: Path) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        here, there = broker_alone.transport(), broker_alone.transport()
        async with publishing(source, here), subscribed(receiver, there):
            await append(source, *[message(number, key=f"key {number % 5}") for number in range(1, 401)])
            await receiver.until(lambda: len(receiver.taken) == 400)
        assert sorted(position for _, position in receiver.taken) == list(range(1, 401))
        assert all(receiver.of_key(f"key {each}") == sorted(receiver.of_key(f"key {each}")) for each in range(5))
        await here.close()
        await there.close()


async def test_after_a_stop_of_both_nothing_comes_again(broker_alone: Broker, tmp_path: Path) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        for begin in (1, 11):
            transport = broker_alone.transport()
            async with publishing(source, transport), subscribed(receiver, transport):
                await append(source, *[message(number) for number in range(begin, begin + 10)])
                await receiver.until(lambda: len(receiver.taken) == begin + 9)  # noqa: B023 - awaited at once
            await transport.close()
        assert receiver.of_key("k") == list(range(1, 21))


async def test_what_could_not_be_taken_comes_again_before_its_successors_and_other_keys_flow(
    broker_alone: Broker, tmp_path: Path
) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        transport = broker_alone.transport()
        receiver.failing.add("bad")
        async with publishing(source, transport), subscribed(receiver, transport):
            await append(source, *[message(each, key=("bad", "one", "two", "six")[each % 4]) for each in range(1, 41)])
            await receiver.until(lambda: len(receiver.of_key("one")) == 10 and receiver.attempts.count(4) > 2)
            receiver.failing.clear()
            await receiver.until(lambda: len(receiver.taken) == 40)
        assert receiver.of_key("bad") == list(range(4, 41, 4))
        await transport.close()


async def test_a_broker_that_is_killed_and_started_again_loses_nothing(
    broker_alone: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        here, there = broker_alone.transport(), broker_alone.transport()
        async with publishing(source, here) as publisher, subscribed(receiver, there):
            await append(source, *[message(each, key=f"key {each % 3}") for each in range(1, 101)])
            await receiver.until(lambda: len(receiver.taken) > 20)
            broker_alone.stop()
            await append(source, *[message(each, key=f"key {each % 3}") for each in range(101, 201)])
            await holds(lambda: "is published up to" in caplog.text)
            assert await publisher.waiting() >= 100
            broker_alone.start()
            await receiver.until(lambda: len({position for _, position in receiver.taken}) == 200)
            while await publisher.waiting():  # noqa: ASYNC110 - what has arrived may not have been confirmed yet
                await asyncio.sleep(0)
        for key in ("key 0", "key 1", "key 2"):
            assert receiver.of_key(key) == sorted(set(receiver.of_key(key)))
        await here.close()
        await there.close()


async def test_a_broker_that_is_away_at_the_start_only_delays(broker_alone: Broker, tmp_path: Path) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        transport = broker_alone.transport()
        broker_alone.stop()
        async with publishing(source, transport), subscribed(receiver, transport):
            await append(source, message(1))
            broker_alone.start()
            await receiver.until(lambda: receiver.taken == [("k", 1)])
        await transport.close()


async def test_a_receiver_that_dies_with_messages_in_hand_finds_them_again_in_order(
    broker_alone: Broker, tmp_path: Path
) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        here, there = broker_alone.transport(), broker_alone.transport()
        receiver.gates["k"] = asyncio.Event()
        async with publishing(source, here):
            async with subscribed(receiver, there):
                await append(source, *[message(each) for each in range(1, 6)])
                await receiver.until(lambda: 5 in receiver.attempts)
                await there.close()
            del receiver.gates["k"]
            again = broker_alone.transport()
            async with subscribed(receiver, again):
                await append(source, message(6))
                await receiver.until(lambda: len(receiver.taken) == 6)
            await again.close()
        assert receiver.of_key("k") == [1, 2, 3, 4, 5, 6]
        await here.close()


async def test_a_message_that_the_broker_lost_holds_up_its_partition_and_is_told(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribing, "_GAP_SECONDS", 0.1)
    caplog.set_level(logging.ERROR)
    async with two_modules(tmp_path) as (source, receiver):
        transport = broker.transport()
        async with publishing(source, transport) as publisher:
            async with subscribed(receiver, transport):
                await append(source, message(1))
                await receiver.until(lambda: len(receiver.taken) == 1)
            await append(source, message(2), message(3))
            await holds(lambda: publisher.position == 3)
            await broker.lose("source", "message-2")
            async with subscribed(receiver, transport) as subscriber:
                await holds(lambda: bool(subscriber.gaps))
                assert receiver.of_key("k") == [1]
                assert "between 1 and 3 in partition 0 of the log of source" in caplog.text
                await broker.forget("source")
                await append(source, message(4))
                await receiver.until(lambda: len(receiver.taken) == 4)
        assert receiver.of_key("k") == [1, 2, 3, 4]
        await transport.close()


async def test_a_type_that_this_version_does_not_know_waits_for_one_that_does(broker: Broker, tmp_path: Path) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        transport = broker.transport()
        async with publishing(source, transport):
            async with subscribed(receiver, transport, known={"Said"}):
                await append(source, message(1), message(2, type_="New"), message(3))
                await receiver.until(lambda: len(receiver.taken) == 1)
            receiver.types = frozenset(("Said", "New"))
            async with subscribed(receiver, transport, known={"Said", "New"}):
                await receiver.until(lambda: 3 in receiver.of_key("k"))
        assert receiver.of_key("k") == [1, 2, 3]
        await transport.close()


async def test_a_stop_lets_what_is_under_way_end_and_gives_the_rest_back(broker: Broker, tmp_path: Path) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        transport = broker.transport()
        receiver.gates["slow"] = asyncio.Event()
        async with publishing(source, transport):
            async with subscribed(receiver, transport):
                await append(source, message(1, key="quick"), message(2, key="slow"), message(3, key="quick"))
                await receiver.until(lambda: 3 in receiver.attempts and len(receiver.of_key("quick")) == 2)
                asyncio.get_running_loop().call_later(0.1, receiver.gates["slow"].set)
            assert receiver.of_key("slow") == [2]
            async with subscribed(receiver, transport):
                await append(source, message(4, key="quick"))
                await receiver.until(lambda: 4 in receiver.of_key("quick"))
        assert len(receiver.taken) == 4
        await transport.close()


async def test_a_broker_that_is_killed_again_and_again_under_load_loses_nothing_and_turns_nothing_round(
    broker_alone: Broker, tmp_path: Path
) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        here, there = broker_alone.transport(), broker_alone.transport()
        async with publishing(source, here), subscribed(receiver, there):
            for begin in range(1, 1001, 200):
                await append(source, *[message(each, key=f"key {each % 7}") for each in range(begin, begin + 200)])
                await receiver.until(lambda: len(receiver.taken) > begin)  # noqa: B023 - awaited at once
                broker_alone.stop()
                broker_alone.start()
            await receiver.until(lambda: len({position for _, position in receiver.taken}) == 1000)
        assert all(receiver.of_key(f"key {each}") == list(range(each or 7, 1001, 7)) for each in range(7))
        await here.close()
        await there.close()


async def test_a_source_that_dies_before_its_cursor_is_saved_publishes_nothing_twice(
    broker_alone: Broker, tmp_path: Path
) -> None:
    async with two_modules(tmp_path) as (source, receiver):
        transport = broker_alone.transport()
        await transport.open("source", ["reading"])
        for begin in (1, 51, 101):
            await append(source, *[message(each, key=f"key {each % 9}") for each in range(begin, begin + 50)])
            publisher = Publisher(source, transport, ["reading"], CLOCK)  # the one before has saved nothing
            await publisher.start()
            await publisher.step()
            assert publisher.position == begin + 49
        assert (await transport.open("source", ["reading"])).stored == 150
        async with subscribed(receiver, transport):
            await receiver.until(lambda: len(receiver.taken) == 150)
        assert all(receiver.of_key(f"key {each}") == list(range(each or 9, 151, 9)) for each in range(9))
        await transport.close()
