from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.resilience.latency_percentile import GROWTH, LatencyPercentile

SECONDS = st.floats(1e-6, 1e4)
PERCENT = st.floats(50, 99.99)


def true_percentile(seconds: list[float], percent: float) -> float:
    """The smallest of them that so many percent do not exceed."""
    return sorted(seconds)[ceil(percent / 100 * len(seconds)) - 1]


@given(st.lists(SECONDS, min_size=1, max_size=300), PERCENT)
def test_it_is_never_below_the_true_one_and_at_most_a_tenth_above(seconds: list[float], percent: float) -> None:
    known = LatencyPercentile(window=300)
    for each in seconds:
        known.observe(each)
    true = true_percentile(seconds, percent)
    assert true * (1 - 1e-9) <= known.percentile(percent) <= true * GROWTH * (1 + 1e-9)


@given(st.lists(SECONDS, min_size=1, max_size=100), PERCENT, st.integers(1, 30))
def test_it_rests_on_the_last_latencies_one_window_to_two(seconds: list[float], percent: float, window: int) -> None:
    known = LatencyPercentile(window)
    for each in seconds:
        known.observe(each)
    assert min(window, len(seconds)) <= len(known) <= 2 * window
    true = true_percentile(seconds[-len(known) :], percent)
    assert true * (1 - 1e-9) <= known.percentile(percent) <= true * GROWTH * (1 + 1e-9)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e5, float("inf")])
def test_what_lies_beyond_its_classes_counts_in_the_outermost(seconds: float) -> None:
    known = LatencyPercentile(10)
    known.observe(seconds)
    assert 1e-6 <= known.percentile(50) <= 1e4 * GROWTH


def test_its_size_does_not_depend_on_how_many_it_has_seen() -> None:
    known = LatencyPercentile(10)
    sizes = set()
    for number in range(1000):
        known.observe(number / 7)
        sizes.add(len(known._newer) + len(known._older))
    assert sizes == {len(known._newer) * 2}


def test_without_any_there_is_none() -> None:
    with pytest.raises(ValueError, match="no latency was observed yet"):
        LatencyPercentile(10).percentile(95)
