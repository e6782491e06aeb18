"""The most common stack runs in one coroutine; nobody may see a difference, but for the time it takes."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from dataclasses import astuple
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import Rejection, ambient_deadline
from insula.resilience import (
    CircuitBreaker,
    ConstantBackoff,
    ResiliencePipeline,
    Retry,
    RetryBudget,
    Timeout,
    attempts_of,
)
from insula.testing import VirtualClock, virtual_time


class OutOfStock(Rejection):
    pass


OUTCOMES = ["paid", 0.5, 60.0, ConnectionError, KeyError, OutOfStock, asyncio.CancelledError, "late", "narrow"]


def stack(*, together: bool) -> tuple[ResiliencePipeline, CircuitBreaker]:
    """The three; a listener keeps them apart."""
    breaker = CircuitBreaker(failure_threshold=3, open_seconds=4)
    policies = Retry(on=(ConnectionError, TimeoutError), backoff=ConstantBackoff(1)), breaker, Timeout(2)
    return ResiliencePipeline(*policies, listener=None if together else lambda _: None), breaker


async def story(outcomes: list[Any], clock: VirtualClock, *, together: bool) -> list[object]:
    """What a caller sees of calls that end like this, one after the other."""
    pipeline, breaker = stack(together=together)
    left, told = list(outcomes), []

    @pipeline
    async def charge() -> object:
        outcome = left.pop(0) if left else "paid"
        told.append((outcome, ambient_deadline.get()))
        if outcome == "late":
            try:
                await clock.sleep(60)
            except asyncio.CancelledError:
                return "finished all the same"
        await clock.sleep(outcome if isinstance(outcome, float) else 0)
        if isinstance(outcome, type):
            raise outcome
        return outcome

    while left:
        token = ambient_deadline.set(clock.monotonic() + 1.5 if left[0] == "narrow" else float("inf"))
        try:
            told.append(await clock.run(charge()))
        except BaseException as error:
            told += [type(error), len(attempts_of(error)), type(error.__cause__)]
        ambient_deadline.reset(token)
        clock.advance(1)  # an open breaker takes no outcome
        told += [clock.monotonic(), *astuple(breaker.snapshot())[1:], ambient_deadline.get()]
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    return told


@given(st.lists(st.sampled_from(OUTCOMES), max_size=12))
def test_together_the_three_do_what_they_do_apart(outcomes: list[Any]) -> None:
    stories = []
    for together in (True, False):
        with virtual_time() as clock:
            stories.append(asyncio.run(story(outcomes, clock, together=together)))
    assert stories[0] == stories[1]


async def test_a_cancelled_call_keeps_nothing_alive(clock: VirtualClock) -> None:
    class Held:
        pass

    held = []

    @stack(together=True)[0]
    async def charge() -> None:
        here = Held()
        held.append(ref(here))
        if len(held) > 1:
            await asyncio.get_running_loop().create_future()

    await charge()  # the first call goes the ordinary way
    gc.disable()
    try:
        task = asyncio.create_task(charge())
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        del task
        await asyncio.sleep(0)
        assert held[1]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("pipeline", "runs_in_one"),
    [
        (stack(together=True)[0], True),
        (stack(together=False)[0], False),
        (ResiliencePipeline(Retry(on=OSError), CircuitBreaker(), Timeout(1)), True),
        (ResiliencePipeline(Timeout(1), Retry(on=OSError), CircuitBreaker(), Timeout(1)), False),
        (ResiliencePipeline(Retry(on=OSError, budget=RetryBudget()), CircuitBreaker(), Timeout(1)), False),
        (ResiliencePipeline(Retry(on=OSError), CircuitBreaker(listener=print), Timeout(1)), False),
        (ResiliencePipeline(CircuitBreaker(), Retry(on=OSError), Timeout(1)), False),
    ],
)
def test_only_the_three_without_listener_or_budget_run_in_one(pipeline: ResiliencePipeline, runs_in_one: bool) -> None:
    async def charge() -> None: ...

    assert (pipeline(charge).__code__.co_name == "protected") is runs_in_one
