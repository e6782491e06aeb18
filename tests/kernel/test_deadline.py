from __future__ import annotations

from asyncio import create_task
from math import inf

from insula.kernel import Deadline, SystemClock, ambient_deadline, earliest_deadline, without_deadline


class SetClock(SystemClock):
    """A monotonic clock that shows what it was set to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        """The seconds it was set to."""
        return self.seconds


def test_a_deadline_counts_down_and_expires() -> None:
    clock = SetClock()
    deadline = Deadline.after(2.5, clock)
    assert (deadline.remaining(clock), deadline.expired(clock)) == (2.5, False)
    clock.seconds += 2.0
    assert (deadline.remaining(clock), deadline.expired(clock)) == (0.5, False)
    clock.seconds += 0.5
    assert (deadline.remaining(clock), deadline.expired(clock)) == (0.0, True)


def test_no_time_remains_long_after_a_deadline() -> None:
    clock = SetClock()
    deadline = Deadline.after(1, clock)
    clock.seconds += 1000
    assert deadline.remaining(clock) == 0.0


def test_the_earlier_of_two_deadlines_counts() -> None:
    early, late = Deadline(1.0), Deadline(2.0)
    assert earliest_deadline() is None
    assert earliest_deadline(late) is late
    token = ambient_deadline.set(early.at)
    assert (earliest_deadline(), earliest_deadline(late), earliest_deadline(Deadline(0.5))) == (
        early,
        early,
        Deadline(0.5),
    )
    ambient_deadline.reset(token)


async def test_a_task_that_outlives_the_call_may_be_started_without_its_deadline() -> None:
    async def seen() -> float:
        return ambient_deadline.get()

    token = ambient_deadline.set(5.0)
    try:
        assert await create_task(seen()) == 5.0
        assert await create_task(seen(), context=without_deadline()) == inf
        assert ambient_deadline.get() == 5.0
    finally:
        ambient_deadline.reset(token)
