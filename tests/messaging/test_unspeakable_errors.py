"""Errors whose text cannot be stored, or not even be made, are parked like any other."""

from __future__ import annotations

import logging

import pytest

from insula import Event, Module, Rejection, System, UnitOfWork
from insula.messaging.failing import described
from insula.store.database import ParkedState
from insula.testing import Scenario


class Said(Event, key="number"):
    """A number was said."""

    number: int


class Mute(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class MuteRefusal(Rejection):
    """A refusal without text."""

    __str__ = Mute.__str__


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("file \udcff is bad"), "ValueError: file \\udcff is bad"),
        (Mute(), "Mute: (its text cannot be made: RuntimeError)"),
    ],
    ids=["no UTF-8", "no text"],
)
async def test_a_message_whose_error_cannot_be_told_is_parked_and_retried(
    error: Exception, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "insula.messaging")  # a report with such a text would stop pytest-xdist
    hearing, heard = Module("hearing"), list[int]()

    @hearing.on(Said, attempts=3)
    async def hear(event: Said, work: UnitOfWork) -> None:
        heard.append(event.number)
        raise error

    async with Scenario(System("one", hearing)) as scenario:
        await scenario.deliver(Said(number=1))
        await scenario.settle()
        [parked] = await scenario.parked(hearing)
        assert (heard, parked.state, parked.error) == ([1, 1, 1], ParkedState.DEAD, text)


async def test_a_rejection_whose_text_cannot_be_made_is_a_dead_letter_at_once() -> None:
    hearing = Module("hearing")

    @hearing.on(Said)
    async def hear(event: Said, work: UnitOfWork) -> None:
        raise MuteRefusal

    async with Scenario(System("one", hearing)) as scenario:
        await scenario.deliver(Said(number=1))
        [parked] = await scenario.parked(hearing)
        assert (parked.state, parked.attempts) == (ParkedState.DEAD, 1)


def test_a_long_error_is_cut() -> None:
    assert len(described(ValueError("x" * 10_000))) == 2000
