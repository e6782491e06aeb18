"""Whatever senders and receivers do, and whoever is cancelled: nothing lost, nothing twice, never above the size."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from insula.streams import Channel, ChannelClosed, ChannelFull, Overflow, ReceiverGone, SenderGone

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["send", "receive", "send now"]), st.just(0)),
        st.tuples(st.sampled_from(["cancel", "turn"]), st.integers(0, 5)),
    ),
    max_size=60,
)


class Run:
    """A channel under random use, by tasks that end whenever they end."""

    def __init__(self, size: int, overflow: Overflow, *, guarded: bool) -> None:
        self.channel = Channel[int](size, overflow=overflow)
        if guarded:
            _ = self.channel.blocking  # from now on it goes by the lock
        self.size = size
        self.numbers = count()
        self.tasks: list[asyncio.Task[None]] = []
        self.sent: list[int] = []
        self.received: list[int] = []
        self.deepest = 0

    async def send(self) -> None:
        item = next(self.numbers)
        try:
            await self.channel.send(item)
        except (ChannelFull, ChannelClosed, ReceiverGone):
            return
        self.sent.append(item)

    async def receive(self) -> None:
        try:
            self.received.append(await self.channel.receive())
        except (SenderGone, ChannelClosed):
            return

    def send_now(self) -> None:
        item = next(self.numbers)
        try:
            self.channel.send_nowait(item)
        except (ChannelFull, ChannelClosed, ReceiverGone):
            return
        self.sent.append(item)

    async def do(self, verb: str, number: int) -> None:
        if verb == "send":
            self.tasks.append(asyncio.create_task(self.send()))
        elif verb == "receive":
            self.tasks.append(asyncio.create_task(self.receive()))
        elif verb == "send now":
            self.send_now()
        elif verb == "cancel" and self.tasks:
            self.tasks[-1 - number % len(self.tasks)].cancel()
        elif verb == "turn":
            for _ in range(number):
                await asyncio.sleep(0)
        self.deepest = max(self.deepest, self.channel.counters().depth)

    async def end(self) -> list[int]:
        """Let everybody end, and take what is left."""
        for _ in range(10):
            await asyncio.sleep(0)
        self.channel.close()
        await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), 10)
        return [item async for item in self.channel]


def run(operations: list[tuple[str, int]], *arguments: Any, guarded: bool) -> tuple[Run, list[int]]:
    """Do everything, then end."""

    async def all_of_it() -> tuple[Run, list[int]]:
        under_use = Run(*arguments, guarded=guarded)
        for verb, number in operations:
            await under_use.do(verb, number)
        return under_use, await under_use.end()

    return asyncio.run(all_of_it())


@settings(max_examples=300, deadline=None)
@given(OPERATIONS, st.integers(1, 4), st.booleans())
def test_what_was_sent_is_received_once_and_in_order(
    operations: list[tuple[str, int]], size: int, guarded: bool
) -> None:
    used, left = run(operations, size, Overflow.BLOCK, guarded=guarded)
    assert sorted(used.received + left) == sorted(used.sent)
    assert used.received + left == sorted(used.received + left)
    assert used.channel.counters().dropped == 0


@settings(max_examples=200, deadline=None)
@given(OPERATIONS, st.integers(1, 4), st.sampled_from(Overflow), st.booleans())
def test_there_are_never_more_items_than_the_size_and_every_one_is_accounted_for(
    operations: list[tuple[str, int]], size: int, overflow: Overflow, guarded: bool
) -> None:
    used, left = run(operations, size, overflow, guarded=guarded)
    counters = used.channel.counters()
    assert used.deepest <= size
    assert len(used.sent) == counters.entered
    assert counters.entered == counters.left + counters.dropped
    assert counters.left == len(used.received) + len(left)
    assert len(set(used.received + left)) == counters.left


@settings(max_examples=200, deadline=None)
@given(OPERATIONS, st.integers(1, 4), st.booleans())
def test_nobody_waits_while_the_channel_could_serve_it(
    operations: list[tuple[str, int]], size: int, guarded: bool
) -> None:
    async def all_of_it() -> tuple[int, int]:
        used = Run(size, Overflow.BLOCK, guarded=guarded)
        for verb, number in operations:
            await used.do(verb, number)
        for _ in range(10):
            await asyncio.sleep(0)
        waiting = sum(not task.done() for task in used.tasks)
        depth = used.channel.counters().depth
        for task in used.tasks:
            task.cancel()
        await asyncio.gather(*used.tasks, return_exceptions=True)
        return waiting, depth

    waiting, depth = asyncio.run(all_of_it())
    # Only receivers wait at an empty channel and only senders at a full one; in between nobody.
    assert waiting == 0 or depth in (0, size)
