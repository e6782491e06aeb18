"""A bounded channel on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from insula.streams import Channel, ChannelClosed, ChannelFull, Overflow, ReceiverGone, SenderGone
from insula.testing import VirtualClock


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def begun(action: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that has gone as far as it can."""
    task = asyncio.create_task(action)
    await settled()
    return task


async def full(size: int = 1, overflow: Overflow = Overflow.BLOCK) -> Channel[int]:
    """A channel with every place taken, by 0, 1, 2 and so on."""
    channel = Channel[int](size, overflow=overflow)
    for item in range(size):
        await channel.send(item)
    return channel


async def drained(channel: Channel[int]) -> list[int]:
    """What is left in it after it was closed."""
    channel.close()
    return [item async for item in channel]


async def test_items_come_out_in_the_order_in_which_they_went_in() -> None:
    channel = await full(3)
    assert [await channel.receive() for _ in range(3)] == [0, 1, 2]


async def test_a_sender_waits_until_there_is_room() -> None:
    channel = await full()
    sending = await begun(channel.send(1))
    assert not sending.done()
    assert [await channel.receive(), await channel.receive()] == [0, 1]
    await sending


async def test_a_receiver_waits_until_there_is_an_item() -> None:
    channel = Channel[int](1)
    receiving = await begun(channel.receive())
    await channel.send(7)
    assert await receiving == 7


async def test_who_waits_first_is_served_first() -> None:
    channel = Channel[int](1)
    receiving = [await begun(channel.receive()) for _ in range(3)]
    for item in range(3):
        await channel.send(item)
    assert [await task for task in receiving] == [0, 1, 2]


async def test_nobody_overtakes_a_sender_who_waits() -> None:
    channel = await full()
    first, second = await begun(channel.send(1)), asyncio.create_task(channel.send(2))
    received = [await channel.receive() for _ in range(3)]
    await asyncio.gather(first, second)
    assert received == [0, 1, 2]


async def test_nobody_overtakes_a_sender_who_was_woken_and_has_not_run_yet() -> None:
    channel = await full(2)
    first = await begun(channel.send(2))
    assert [await channel.receive(), await channel.receive()] == [0, 1]
    second, third = asyncio.create_task(channel.send(3)), asyncio.create_task(channel.send(4))
    with pytest.raises(ChannelFull):
        channel.send_nowait(5)
    await asyncio.gather(first, asyncio.wait_for(channel.receive(), 10), second, third)
    assert await drained(channel) == [3, 4]


async def test_a_full_channel_that_fails_refuses_the_item() -> None:
    channel = await full(2, Overflow.FAIL)
    with pytest.raises(ChannelFull, match="all 2 places are taken"):
        await channel.send(2)
    assert await drained(channel) == [0, 1]


async def test_a_full_channel_that_drops_the_newest_keeps_what_it_has() -> None:
    channel = await full(2, Overflow.DROP_NEWEST)
    await channel.send(2)
    assert (await drained(channel), channel.counters().dropped) == ([0, 1], 1)


async def test_a_full_channel_that_drops_the_oldest_makes_room() -> None:
    channel = await full(2, Overflow.DROP_OLDEST)
    await channel.send(2)
    assert (await drained(channel), channel.counters().dropped) == ([1, 2], 1)


async def test_a_full_channel_that_keeps_the_latest_keeps_nothing_else() -> None:
    channel = await full(2, Overflow.KEEP_LATEST)
    await channel.send(2)
    assert (await drained(channel), channel.counters().dropped) == ([2], 2)


async def test_receivers_who_were_woken_for_items_that_made_room_go_on_waiting() -> None:
    channel = Channel[int](2, overflow=Overflow.KEEP_LATEST)
    receiving = [await begun(channel.receive()) for _ in range(2)]
    for item in range(3):
        channel.send_nowait(item)
    await settled()
    assert [task.done() for task in receiving] == [True, False]
    await channel.send(3)
    assert [await task for task in receiving] == [2, 3]


async def test_a_callback_sends_without_waiting_or_is_told_that_it_cannot() -> None:
    channel = Channel[int](1)
    receiving = await begun(channel.receive())
    channel.send_nowait(1)
    assert await receiving == 1
    channel.send_nowait(2)
    with pytest.raises(ChannelFull, match="send_nowait does not wait"):
        channel.send_nowait(3)


async def test_a_closed_channel_is_drained_and_then_the_iteration_ends() -> None:
    assert await drained(await full(2)) == [0, 1]


async def test_after_the_end_a_receiver_is_told_that_the_sender_is_gone() -> None:
    channel = Channel[int](1)
    channel.close()
    with pytest.raises(SenderGone, match="the sender closed it") as gone:
        await channel.receive()
    assert gone.value.__cause__ is None


async def test_closing_can_discard_what_waits() -> None:
    channel = await full(2)
    channel.close(discard=True)
    assert ([item async for item in channel], channel.counters().dropped) == ([], 2)


async def test_closing_ends_everybody_who_waits() -> None:
    channel = Channel[int](1)
    receiving = [await begun(channel.receive()) for _ in range(2)]
    channel.close()
    assert [type(error) for error in await asyncio.gather(*receiving, return_exceptions=True)] == [SenderGone] * 2


async def test_closing_refuses_a_sender_who_waits_and_its_item_is_not_sent() -> None:
    channel = await full()
    sending = await begun(channel.send(1))
    channel.close()
    with pytest.raises(ChannelClosed, match="sent to after it was closed"):
        await sending
    assert [item async for item in channel] == [0]


async def test_a_sender_who_got_a_place_in_the_moment_of_closing_is_refused() -> None:
    channel = await full()
    sending = await begun(channel.send(1))
    assert await channel.receive() == 0
    channel.close()
    with pytest.raises(ChannelClosed):
        await sending
    with pytest.raises(SenderGone):
        await channel.receive()


async def test_a_receiver_gets_the_last_item_also_when_it_closes_before_it_wakes() -> None:
    channel = Channel[int](2)
    first, second = await begun(channel.receive()), await begun(channel.receive())
    channel.send_nowait(1)
    channel.close()
    assert await first == 1
    with pytest.raises(SenderGone):
        await second


async def test_a_sender_that_fails_is_heard_after_its_items() -> None:
    channel = await full()
    channel.fail(OSError("no disk"))
    received = aiter(channel)
    assert await anext(received) == 0
    with pytest.raises(SenderGone, match="no disk") as gone:
        await anext(received)
    assert isinstance(gone.value.__cause__, OSError)


async def test_a_receiver_that_leaves_is_the_other_side_for_senders_and_your_own_for_receivers() -> None:
    channel = await full()
    sending = await begun(channel.send(1))
    channel.cancel()
    with pytest.raises(ReceiverGone, match="it cancelled"):
        await sending
    with pytest.raises(ReceiverGone):
        await channel.send(2)
    with pytest.raises(ChannelClosed, match="received from after it was cancelled"):
        await channel.receive()
    assert (channel.counters().dropped, channel.counters().depth) == (1, 0)


async def test_closing_and_leaving_twice_changes_nothing() -> None:
    channel = await full()
    channel.close()
    channel.fail(OSError())
    channel.close()
    assert await channel.receive() == 0
    channel.cancel()
    channel.cancel()
    with pytest.raises(ChannelClosed):
        await channel.send(1)


async def test_a_receiver_that_was_given_an_item_and_is_cancelled_loses_it_to_the_next() -> None:
    channel = Channel[int](1)
    first, second = await begun(channel.receive()), await begun(channel.receive())
    await channel.send(1)
    first.cancel()
    assert await second == 1
    assert first.cancelled()


async def test_a_sender_that_was_given_a_place_and_is_cancelled_has_sent_nothing() -> None:
    channel = await full()
    first, second = await begun(channel.send(1)), await begun(channel.send(2))
    assert await channel.receive() == 0
    first.cancel()
    await second
    assert await drained(channel) == [2]


async def test_cancelled_waiters_leave_nothing_behind() -> None:
    channel = await full()
    sending = [await begun(channel.send(1)) for _ in range(3)]
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    assert await drained(channel) == [0]


async def test_a_time_limit_around_a_receive_takes_no_item_with_it() -> None:
    channel = Channel[int](1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await channel.receive()
    await channel.send(1)
    assert await channel.receive() == 1


async def test_the_counters_tell_what_passed_and_how_long_senders_waited() -> None:
    clock = VirtualClock()
    channel = Channel[int](2, name="orders", clock=clock)
    for item in range(2):
        await channel.send(item)
    sending = await begun(channel.send(2))
    clock.advance(3)
    await channel.receive()
    await sending
    counters = channel.counters()
    assert (counters.name, counters.entered, counters.left, counters.dropped, counters.depth) == ("orders", 3, 1, 0, 2)
    assert counters.waited_seconds == 3


def test_a_channel_goes_from_one_event_loop_to_the_next() -> None:
    channel = Channel[int](1)
    asyncio.run(channel.send(1))
    assert asyncio.run(channel.receive()) == 1


@pytest.mark.parametrize("items", [0, 1])
def test_who_waited_on_a_loop_that_was_closed_holds_up_nobody(items: int) -> None:
    channel = Channel[int](1)

    async def send() -> None:
        await channel.send(1)
        await channel.send(2)

    first = asyncio.new_event_loop()
    task = first.run_until_complete(begun(send() if items else channel.receive()))
    first.close()
    assert not task.done()

    async def second() -> list[int]:
        received = [await channel.receive() for _ in range(items)]
        async with asyncio.timeout(10):
            await channel.send(3)
            return [*received, await channel.receive()]

    assert asyncio.run(second()) == [1, 3][1 - items :]


def test_a_second_event_loop_at_once_is_refused() -> None:
    channel = Channel[int](1)

    async def elsewhere() -> None:
        other = asyncio.new_event_loop()
        try:
            await asyncio.to_thread(other.run_until_complete, channel.receive())
        finally:
            other.close()

    async def here() -> None:
        await channel.send(1)
        await channel.receive()
        with pytest.raises(RuntimeError, match=r"two event loops|attached to a different loop"):
            await elsewhere()

    asyncio.run(here())


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_without_places_is_refused_by_name(size: int) -> None:
    with pytest.raises(ValueError, match=f"Channel: size={size} is less than one"):
        Channel[int](size)


@pytest.mark.parametrize("size", [True, 1.5, float("nan"), "10", None])
def test_a_size_that_is_no_count_is_refused_by_name(size: Any) -> None:
    with pytest.raises(TypeError, match="Channel: size="):
        Channel[int](size)


def test_a_strategy_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="Channel: overflow='drop' is no strategy"):
        Channel[int](1, overflow="drop")  # type: ignore[arg-type]
