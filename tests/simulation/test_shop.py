"""The shop under everything that can go wrong: Insula's own proof. `make nightly` tries 100,000 seeds."""

from __future__ import annotations

import pytest

from insula.simulation import simulate
from shop.simulation import survival

SEEDS, PARTS = 1000, 4  # in parts, so that the tests' workers share them


def test_the_books_balance_under_every_single_fault() -> None:
    report = simulate(survival, seeds=1)
    assert report.coverage.missed(report.assembly) == []
    assert report.leaks == []
    assert report.unchecked is None
    assert len(report.coverage.crashes) > 70


@pytest.mark.parametrize("part", range(PARTS))
def test_the_books_balance_under_many_faults(part: int) -> None:
    seeds = SEEDS // PARTS
    simulate(
        survival, seeds=seeds, first_seed=part * seeds, every_single_fault=False, cross_check=False, workers=1
    )  # fmt: skip
