from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel import Randomness, SeededRandomness, SystemRandomness

SOURCES = [SystemRandomness(), SeededRandomness(7)]


@pytest.mark.parametrize("source", SOURCES)
def test_numbers_lie_in_their_range(source: Randomness) -> None:
    assert all(0.0 <= source.random() < 1.0 for _ in range(1000))
    assert all(0 <= source.bits(5) < 32 for _ in range(1000))
    assert {source.bits(2) for _ in range(1000)} == {0, 1, 2, 3}


@given(st.one_of(st.integers(), st.text()))
def test_the_same_seed_gives_the_same_numbers(seed: int | str) -> None:
    one, other = SeededRandomness(seed), SeededRandomness(seed)
    assert [one.bits(64), one.random(), one.bits(3)] == [other.bits(64), other.random(), other.bits(3)]


def test_the_numbers_of_a_seed_stay_the_same_for_ever() -> None:
    source = SeededRandomness("insula")
    assert [source.bits(16) for _ in range(4)] == [13321, 58405, 7891, 58132]


def test_different_seeds_give_different_numbers() -> None:
    assert SeededRandomness(1).bits(128) != SeededRandomness(2).bits(128)
