"""The line before each key: in order, also when somebody in it fails or is cancelled."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from insula.messaging.failing import NotInTurn
from insula.messaging.turns import Turn

KEY = ("reading.read", "source", "k")


class Line:
    """One line, and what was done in it."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, str, str], asyncio.Future[bool]] = {}
        self.done: list[str] = []

    async def act(self, name: str, gate: asyncio.Event, error: Exception | None = None) -> None:
        await gate.wait()
        if error is not None:
            raise error
        self.done.append(name)

    def begin(self, name: str, gate: asyncio.Event, error: Exception | None = None) -> asyncio.Task[None]:
        """Take the next turn, and give it back at the end."""
        turn = Turn(self.last, KEY)

        async def take() -> None:
            try:
                await turn.take(self.act, name, gate, error)
            finally:
                turn.give_back()

        return asyncio.create_task(take())


def gate(*, is_open: bool = True) -> asyncio.Event:
    """What an action waits for."""
    event = asyncio.Event()
    if is_open:
        event.set()
    return event


async def test_later_turns_wait_for_earlier_ones_and_nothing_is_left_of_them() -> None:
    line, slow = Line(), gate(is_open=False)
    async with asyncio.timeout(10):
        turns = [line.begin("a", slow), line.begin("b", gate()), line.begin("c", gate())]
        await asyncio.sleep(0)
        slow.set()
        await asyncio.gather(*turns)
    assert (line.done, line.last) == (["a", "b", "c"], {})


async def test_who_stands_behind_a_cancelled_turn_fails_without_being_cancelled() -> None:
    line = Line()
    first = line.begin("a", gate(is_open=False))
    second = line.begin("b", gate())
    async with asyncio.timeout(10):
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(NotInTurn, match="under key 'k' was not taken"):
            await second
        await line.begin("c", gate())
    assert (line.done, line.last) == (["c"], {})


async def test_a_turn_that_is_given_up_lets_nobody_past_those_before_it() -> None:
    line, slow = Line(), gate(is_open=False)
    async with asyncio.timeout(10):
        first, second = line.begin("a", slow), line.begin("b", gate())
        await asyncio.sleep(0)
        second.cancel()
        with suppress(asyncio.CancelledError):
            await second
        third = line.begin("c", gate())
        await asyncio.sleep(0)
        slow.set()
        await asyncio.gather(first, third)
    assert (line.done, line.last) == (["a", "c"], {})


async def test_a_failed_turn_holds_its_place_until_its_sender_was_told() -> None:
    line = Line()
    async with asyncio.timeout(10):
        failed = Turn(line.last, KEY)
        with pytest.raises(OSError, match="full"):
            await failed.take(line.act, "a", gate(), OSError("full"))
        with pytest.raises(NotInTurn):
            await line.begin("b", gate())
        failed.give_back()
        await line.begin("c", gate())
    assert line.done == ["c"]
