"""Which phase of an extraction may follow which."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from insula.runtime.extraction.progress import ENDED, Phase, Progress, may_follow

phases = some.sampled_from(list(Phase))
WAY = [Phase.PREPARING, Phase.COPYING, Phase.CATCHING_UP, Phase.VERIFYING, Phase.CATCHING_UP, Phase.HOLDING]


def test_the_whole_way_may_be_gone() -> None:
    progress = Progress("orders", "somewhere")
    for phase in [*WAY, Phase.SWITCHED, Phase.FINISHED]:
        progress.enter(phase)
    assert progress.phase is Phase.FINISHED


def test_units_are_held_again_when_the_first_time_took_too_long() -> None:
    progress = Progress("orders", "somewhere", Phase.HOLDING)
    for phase in [Phase.CATCHING_UP, Phase.HOLDING, Phase.SWITCHED]:
        progress.enter(phase)
    assert progress.phase is Phase.SWITCHED


@given(phases.filter(lambda phase: phase not in ENDED))
def test_until_the_switch_it_may_fail_or_be_given_up_at_any_moment(phase: Phase) -> None:
    assert may_follow(phase, Phase.FAILED)
    assert may_follow(phase, Phase.ABORTED)


@given(some.lists(phases))
def test_nothing_is_switched_that_was_not_held_and_nothing_is_given_up_after(walk: list[Phase]) -> None:
    progress, gone = Progress("orders", "somewhere"), [Phase.PREPARING]
    for phase in walk:
        if may_follow(progress.phase, phase):
            progress.enter(phase)
            gone.append(phase)
    for before, after in pairwise(gone):
        if after is Phase.SWITCHED:
            assert before is Phase.HOLDING
        if after is Phase.FINISHED:
            assert before is Phase.SWITCHED
        if before is Phase.SWITCHED:
            assert after not in (Phase.FAILED, Phase.ABORTED)


def test_a_phase_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="an extraction that is preparing cannot become switched"):
        Progress("orders", "somewhere").enter(Phase.SWITCHED)
