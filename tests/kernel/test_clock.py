from __future__ import annotations

from datetime import UTC, timedelta

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
