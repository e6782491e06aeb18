"""The decisions of streams, without anything that runs."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from insula.streams.grouping import Batches, Windows
from insula.streams.joining import lane_of
from insula.streams.overflow import Overflow, make_room
from insula.streams.pacing import Pace

MOMENTS = st.floats(0, 4e9)
DROPPING = st.sampled_from([Overflow.DROP_NEWEST, Overflow.DROP_OLDEST, Overflow.KEEP_LATEST])


@given(DROPPING, st.integers(1, 9))
def test_making_room_loses_nothing_out_of_sight_and_never_grows(overflow: Overflow, size: int) -> None:
    buffer = deque(range(size))
    dropped = make_room(overflow, buffer, size)
    assert sorted([*buffer, *dropped]) == list(range(size + 1))
    assert 1 <= len(buffer) <= size
    assert list(buffer) == sorted(buffer)


@given(MOMENTS, st.floats(0.001, 1e6))
def test_a_batch_is_due_so_long_after_its_first_item(begun: float, within: float) -> None:
    assert Batches(3, within).due(begun) == begun + within
    assert Batches(3).due(begun) == inf
    assert Batches(3, within).belongs(begun, begun + 2 * within)


@given(MOMENTS, st.sampled_from([1.0, 60.0, 3600.0, 86400.0, 0.25]))
def test_an_item_belongs_to_the_one_window_that_contains_its_moment(at: float, seconds: float) -> None:
    windows = Windows(seconds, limit=9)
    window = windows.group(at, ["item"])
    moment = datetime.fromtimestamp(at, UTC)
    assert window.start <= moment
    assert moment.timestamp() <= window.end.timestamp()
    assert (window.end - window.start).total_seconds() == seconds
    assert windows.due(at) > at
    assert windows.belongs(at, at)
    assert not windows.belongs(at, windows.due(at))


@given(st.lists(st.floats(0, 50), min_size=1, max_size=60), st.floats(0.01, 10), st.integers(1, 5))
def test_a_pace_never_lets_more_through_than_its_rate_and_burst(
    pauses: list[float], interval: float, burst: int
) -> None:
    pace, now, passed = Pace(interval, burst), 0.0, list[float]()
    for pause in pauses:
        now += pause
        now += pace.wait_seconds(now)
        pace.passed(now)
        passed.append(now)
    for first in range(len(passed)):
        for last in range(first + burst, len(passed)):
            least = (last - first - burst + 1) * interval
            assert passed[last] - passed[first] >= least * (1 - 1e-9) - 1e-9


@given(st.one_of(st.text(), st.binary(), st.integers(), st.tuples(st.integers(), st.text())), st.integers(1, 64))
def test_a_key_has_one_lane(key: object, lanes: int) -> None:
    assert 0 <= lane_of(key, lanes) < lanes
    assert lane_of(key, lanes) == lane_of(key, lanes)


def test_equal_keys_share_a_lane_and_texts_have_the_same_in_every_process() -> None:
    assert lane_of(1, 7) == lane_of(1.0, 7) == lane_of(True, 7)
    assert [lane_of(key, 8) for key in ("ann", "bob", "cid", b"ann")] == [3, 0, 4, 3]
