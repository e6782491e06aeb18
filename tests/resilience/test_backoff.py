from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import SeededRandomness
from insula.resilience import ConstantBackoff, ExponentialBackoff, Retry
from insula.resilience.backoff import Jitter, backoff_of

FIRST = st.floats(min_value=0.001, max_value=10)
GROWTH = st.floats(min_value=1, max_value=100)
NUMBER = st.integers(min_value=1, max_value=5000)
SEED = st.integers(min_value=0, max_value=10_000)


@given(FIRST, GROWTH, NUMBER, SEED, st.sampled_from(["full", "equal", "none"]))
def test_the_wait_lies_between_the_bounds_of_its_jitter(
    first: float, factor: float, attempt: int, seed: int, jitter: Jitter
) -> None:
    backoff = ExponentialBackoff(first, factor, longest_seconds=60, jitter=jitter)
    wait = backoff.delay(attempt, 0.0, SeededRandomness(seed))
    whole = 60.0 if attempt > 2000 and factor > 1.01 else min(60.0, first * factor ** min(attempt - 1, 150))
    least = {"full": 0.0, "equal": whole / 2, "none": whole}[jitter]
    assert least <= wait <= 60.0
    if attempt <= 150:
        assert wait <= whole


@given(FIRST, st.integers(min_value=1, max_value=40), SEED)
def test_decorrelated_waits_stay_within_three_times_the_one_before(first: float, attempts: int, seed: int) -> None:
    backoff, chance, previous = (
        ExponentialBackoff(first, longest_seconds=60, jitter="decorrelated"),
        SeededRandomness(seed),
        0.0,
    )
    for attempt in range(1, attempts + 1):
        wait = backoff.delay(attempt, previous, chance)
        assert first <= wait <= min(60.0, max(first, 3 * previous)) + 1e-9
        previous = wait


def test_without_jitter_waits_double_up_to_the_longest() -> None:
    backoff = ExponentialBackoff(0.5, longest_seconds=3, jitter="none")
    assert [backoff.delay(attempt, 0, SeededRandomness(1)) for attempt in (1, 2, 3, 4, 9999)] == [0.5, 1, 2, 3, 3]


def test_a_constant_wait_may_be_spread() -> None:
    waits = [ConstantBackoff(2, jitter_seconds=1).delay(1, 0, SeededRandomness(seed)) for seed in range(50)]
    assert all(2 <= wait < 3 for wait in waits)
    assert len(set(waits)) == 50
    assert ConstantBackoff(0).delay(1, 0, SeededRandomness(1)) == 0.0


@pytest.mark.parametrize("wait", [-1.0, float("nan"), float("inf"), True, "1"])
def test_a_function_that_gives_no_duration_is_found_out(wait: float) -> None:
    with pytest.raises((ValueError, TypeError), match=r"Retry: backoff\(2\)="):
        backoff_of("Retry", lambda _: wait).delay(2, 0.0, SeededRandomness(1))


@pytest.mark.parametrize("backoff", [1.5, "fast", ExponentialBackoff])
def test_what_is_no_backoff_is_refused(backoff: object) -> None:
    with pytest.raises(TypeError, match="Retry: backoff="):
        Retry(on=ConnectionError, backoff=backoff)  # type: ignore[arg-type]
