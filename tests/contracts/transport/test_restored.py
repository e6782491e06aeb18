"""A module comes back from a backup: it has lost the end of its log, and gives positions away a second time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.transport.brokers import Broker
from contracts.transport.modules import Receiving, append, opened, publishing, subscribed
from contracts.transport.reading import message
from insula.adapters.sqlite.database import SqliteDatabase
from insula.messaging.epoch import epoch_of, in_log


@asynccontextmanager
async def restored(folder: Path, broker: Broker, backup_at: int, head: int) -> AsyncIterator[Receiving]:
    """A receiver has taken `head` messages; the source's file is the backup made after `backup_at` of them."""
    file = folder / "source.db"
    async with asyncio.timeout(30), opened(folder, "reading") as target:
        receiver = Receiving(target)
        for begin, end in ((1, backup_at), (backup_at + 1, head)):
            async with opened(folder, "source") as source:
                transport = broker.transport()
                async with publishing(source, transport), subscribed(receiver, transport):
                    await append(source, *[message(number) for number in range(begin, end + 1)])
                    await receiver.until(lambda: len(receiver.taken) == end)  # noqa: B023 - awaited at once
                await transport.close()
            if end == backup_at:
                backup = file.read_bytes()
        forget_source(folder)
        file.write_bytes(backup)
        receiver.taken.clear()
        yield receiver


def forget_source(folder: Path) -> None:
    """Delete its file, and those beside it."""
    for file in folder.glob("source.db*"):
        file.unlink()


async def goes_on(source: SqliteDatabase, receiver: Receiving, broker: Broker, numbers: range, total: int) -> None:
    """A life of both, in which the source appends messages, and the receiver has so many at the end."""
    transport = broker.transport()
    async with publishing(source, transport), subscribed(receiver, transport):
        await append(source, *[message(number) for number in numbers])
        await receiver.until(lambda: len(receiver.taken) == total)
    await transport.close()


async def test_what_it_publishes_after_that_is_taken_and_both_sides_say_what_has_happened(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with restored(tmp_path, broker, backup_at=5, head=15) as receiver, opened(tmp_path, "source") as source:
        await goes_on(source, receiver, broker, range(101, 104), 3)
        assert [in_log(position) for _, position in receiver.taken] == [6, 7, 8]
        assert "the broker has messages of source that its log does not have" in caplog.text
        assert "source → reading: the log of source has a new epoch" in caplog.text
        await goes_on(source, receiver, broker, range(104, 106), 5)
        assert [in_log(position) for _, position in receiver.taken] == [6, 7, 8, 9, 10]
        assert len({epoch_of(position) for _, position in receiver.taken}) == 1
        assert caplog.text.count("A new epoch begins") == 1


async def test_it_is_noticed_also_when_more_was_appended_than_had_been_lost(broker: Broker, tmp_path: Path) -> None:
    async with restored(tmp_path, broker, backup_at=5, head=7) as receiver, opened(tmp_path, "source") as source:
        transport = broker.transport()
        async with publishing(source, transport):
            await append(source, *[message(number) for number in range(101, 121)])  # before the broker has answered
            async with subscribed(receiver, transport):
                await receiver.until(lambda: len(receiver.taken) == 20)
        await transport.close()
        assert [in_log(position) for _, position in receiver.taken] == list(range(6, 26))


async def test_a_backup_from_before_the_first_publishing_begins_an_epoch_too(broker: Broker, tmp_path: Path) -> None:
    async with asyncio.timeout(30), opened(tmp_path, "reading") as target:
        receiver = Receiving(target)
        async with opened(tmp_path, "source") as source:
            await goes_on(source, receiver, broker, range(1, 8), 7)
        forget_source(tmp_path)
        receiver.taken.clear()
        async with opened(tmp_path, "source") as source:
            await goes_on(source, receiver, broker, range(101, 104), 3)
        assert [in_log(position) for _, position in receiver.taken] == [1, 2, 3]


async def test_a_source_that_only_died_before_its_cursor_was_saved_begins_no_epoch(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(30), opened(tmp_path, "reading") as target, opened(tmp_path, "source") as source:
        receiver = Receiving(target)
        transport = broker.transport()
        async with subscribed(receiver, transport):
            async with publishing(source, transport) as publisher:
                await append(source, *[message(number) for number in range(1, 6)])
                await receiver.until(lambda: len(receiver.taken) == 5)
                publisher.save = forgotten  # type: ignore[method-assign]
                await append(source, *[message(number) for number in range(6, 11)])
                await receiver.until(lambda: len(receiver.taken) == 10)
            async with publishing(source, transport):
                await append(source, *[message(number) for number in range(11, 16)])
                await receiver.until(lambda: len(receiver.taken) == 15)
        await transport.close()
        assert receiver.of_key("k") == list(range(1, 16))
        assert "epoch" not in caplog.text


async def forgotten() -> None:
    """As a crash does it."""
