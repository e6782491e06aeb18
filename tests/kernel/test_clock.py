from __future__ import annotations

import asyncio
import threading
from datetime import UTC, timedelta

import pytest

from insula.kernel import Clock, SystemClock


def test_now_is_aware_and_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_the_wall_clock_agrees_with_itself() -> None:
    clock = SystemClock()
    assert abs(clock.now() - clock.now()) < timedelta(minutes=1)


def test_monotonic_time_never_goes_back() -> None:
    clock: Clock = SystemClock()
    moments = [clock.monotonic() for _ in range(1000)]
    assert moments == sorted(moments)


async def test_sleeping_less_than_nothing_gives_others_a_turn() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(-5)
    assert clock.monotonic() >= before


def test_blocking_ends_after_its_time_or_when_somebody_wakes_it() -> None:
    clock, wake = SystemClock(), threading.Event()
    before = clock.monotonic()
    clock.block(0.002)
    assert clock.monotonic() >= before + 0.002
    clock.block(-1)
    clock.block(0.001, wake)
    assert not wake.is_set()
    threading.Thread(target=wake.set).start()
    clock.block(60, wake)
    assert clock.monotonic() < before + 30


async def test_a_call_comes_at_its_moment_unless_it_is_cancelled() -> None:
    clock, called = SystemClock(), asyncio.Event()
    moment = clock.monotonic() + 0.002
    clock.call_at(clock.monotonic() - 1, lambda: clock.call_at(moment, called.set))
    clock.call_at(moment, lambda: pytest.fail("this one was cancelled")).cancel()
    await called.wait()
    assert clock.monotonic() >= moment - 0.001


def test_without_a_loop_nothing_can_call_back() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        SystemClock().call_at(0.0, print)
