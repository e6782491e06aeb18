"""A bounded channel with threads on one side or on both."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from insula.kernel import DeadlineExceeded
from insula.streams import BlockingEnd, Channel, ChannelClosed, Overflow, ReceiverGone, SenderGone

MANY = 5000
PATIENCE_SECONDS = 30


def on_a_thread(action: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Run it on a thread of its own, which nobody waits for."""
    ended: Future[Any] = Future()

    def run() -> None:
        try:
            ended.set_result(action(*arguments))
        except BaseException as error:
            ended.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return ended


def send_all(end: BlockingEnd[int], numbers: range) -> None:
    for number in numbers:
        end.send(number)


async def receive_all(channel: Channel[int]) -> list[int]:
    return [item async for item in channel]


async def test_a_thread_sends_to_a_task() -> None:
    channel = Channel[int](8)

    def produce(end: BlockingEnd[int]) -> None:
        send_all(end, range(MANY))
        end.close()

    produced = on_a_thread(produce, channel.blocking)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await receive_all(channel) == list(range(MANY))
        await asyncio.wrap_future(produced)


async def test_a_task_sends_to_a_thread() -> None:
    channel = Channel[int](8)
    consumed = on_a_thread(list, channel.blocking)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for number in range(MANY):
            await channel.send(number)
        channel.close()
        assert await asyncio.wrap_future(consumed) == list(range(MANY))


def test_a_thread_sends_to_a_thread() -> None:
    channel = Channel[int](8)
    consumed = on_a_thread(list, channel.blocking)
    send_all(channel.blocking, range(MANY))
    channel.blocking.close()
    assert consumed.result(PATIENCE_SECONDS) == list(range(MANY))


async def test_threads_and_tasks_on_both_sides_lose_nothing_and_double_nothing() -> None:
    channel = Channel[int](3)
    end = channel.blocking
    with ThreadPoolExecutor(4) as pool:
        loop = asyncio.get_running_loop()
        consumed = [loop.run_in_executor(pool, list, end) for _ in range(2)]
        received = [asyncio.create_task(receive_all(channel)) for _ in range(2)]
        sent = [loop.run_in_executor(pool, send_all, end, range(n * MANY, (n + 1) * MANY)) for n in range(2)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            for number in range(2 * MANY, 3 * MANY):
                await channel.send(number)
            await asyncio.gather(*sent)
            channel.close()
            parts = await asyncio.gather(*consumed, *received)
    assert sorted(number for part in parts for number in part) == list(range(3 * MANY))
    assert all(
        [n for n in part if n // MANY == k] == sorted(n for n in part if n // MANY == k)
        for part in parts
        for k in range(3)
    )


def test_a_full_channel_never_holds_more_than_its_size_however_many_threads_send() -> None:
    channel = Channel[int](3, overflow=Overflow.DROP_OLDEST)
    deepest = 0
    with ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send_all, channel.blocking, range(MANY)) for _ in range(4)]
        while not all(task.done() for task in sending):
            deepest = max(deepest, channel.counters().depth)
    counters = channel.counters()
    assert deepest <= 3
    assert (counters.entered, counters.dropped, counters.depth) == (4 * MANY, 4 * MANY - 3, 3)


async def test_a_burst_from_a_thread_wakes_the_loop_once() -> None:
    channel = Channel[int](100)
    loop = asyncio.get_running_loop()
    wakes, wake = [], loop.call_soon_threadsafe

    def counted(callback: Callable[..., Any], *arguments: Any, **keywords: Any) -> asyncio.Handle:
        wakes.append(callback)
        return wake(callback, *arguments, **keywords)

    receiving = [asyncio.create_task(channel.receive()) for _ in range(5)]
    end = channel.blocking
    await asyncio.sleep(0)
    loop.call_soon_threadsafe = counted  # type: ignore[method-assign, assignment]
    on_a_thread(send_all, end, range(50)).result(PATIENCE_SECONDS)
    assert len(wakes) == 1
    assert await asyncio.gather(*receiving) == list(range(5))


async def test_a_thread_end_refuses_to_stop_the_event_loop() -> None:
    channel = Channel[int](1)
    end = channel.blocking
    with pytest.raises(RuntimeError, match="would stop the event loop"):
        end.receive()
    end.send(1)
    with pytest.raises(RuntimeError, match="would stop the event loop"):
        end.send(2)
    assert end.receive() == 1


async def test_a_thread_may_not_join_a_channel_behind_the_back_of_its_loop() -> None:
    channel = Channel[int](1)
    await channel.send(1)
    with pytest.raises(RuntimeError, match="take it before, or on the loop"):
        await asyncio.to_thread(lambda: channel.blocking)
    end = channel.blocking
    assert await asyncio.to_thread(end.receive) == 1


def test_a_send_that_takes_too_long_has_sent_nothing() -> None:
    channel = Channel[int](1)
    end = channel.blocking
    end.send(1)
    with pytest.raises(DeadlineExceeded, match="nothing moved within"):
        end.send(2, timeout=timedelta(milliseconds=5))
    end.close()
    assert list(end) == [1]


def test_a_receive_that_takes_too_long_takes_nothing() -> None:
    end = Channel[int](1).blocking
    with pytest.raises(DeadlineExceeded):
        end.receive(timeout=0.005)
    end.send(1)
    assert end.receive(timeout=5) == 1


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), timedelta(0)])
def test_a_timeout_that_is_no_time_is_refused_by_name(timeout: Any) -> None:
    with pytest.raises(ValueError, match="channel: timeout="):
        Channel[int](1).blocking.receive(timeout=timeout)


def test_the_ends_of_threads_tell_who_ended() -> None:
    closed, failed, left = (Channel[int](1).blocking for _ in range(3))
    closed.close()
    failed.fail(OSError("no disk"))
    left.cancel()
    with pytest.raises(ChannelClosed):
        closed.send(1)
    with pytest.raises(SenderGone, match="no disk"):
        next(failed)
    with pytest.raises(ReceiverGone):
        left.send(1)


def test_a_thread_is_told_that_the_loop_of_the_receiver_is_closed() -> None:
    channel = Channel[int](1)
    end = channel.blocking

    async def receive_one() -> None:
        channel.send_nowait(0)
        await channel.receive()

    asyncio.run(receive_one())
    with pytest.raises(ReceiverGone, match="its event loop is closed"):
        send_all(end, range(3))


def test_a_thread_is_told_that_the_loop_of_a_waiting_receiver_is_closed() -> None:
    channel = Channel[int](5)
    end = channel.blocking
    loop = asyncio.new_event_loop()
    receiving = loop.create_task(channel.receive())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    with pytest.raises(ReceiverGone, match="its event loop is closed"):
        end.send(1)
    receiving._log_destroy_pending = False  # type: ignore[attr-defined] - a loop that is closed under a task is the case
    receiving.get_coro().close()


def test_a_thread_is_told_that_the_loop_of_the_sender_is_closed() -> None:
    channel = Channel[int](5)
    end = channel.blocking
    asyncio.run(channel.send(1))
    assert end.receive() == 1
    with pytest.raises(SenderGone, match="event loop of the sender is closed"):
        end.receive()


FORK = """
import os, sys
from insula.streams import Channel
channel = Channel(3)
end = channel.blocking
end.send(1)
channel._state.lock.acquire()  # as if another thread were at it in the moment of the fork
if os.fork() == 0:
    depth = channel.counters().depth
    end.send(2)
    os._exit(0 if (depth, end.receive(timeout=5)) == (0, 2) else 1)
channel._state.lock.release()
_, status = os.wait()
sys.exit(os.waitstatus_to_exitcode(status) or channel.counters().depth - 1)
"""


def test_a_forked_child_begins_with_an_empty_channel_and_the_parent_keeps_its_items() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run([sys.executable, "-c", FORK], env=environment, timeout=PATIENCE_SECONDS, check=False)
    assert ran.returncode == 0
