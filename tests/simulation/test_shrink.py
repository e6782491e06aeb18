"""Making a failing run smaller, on a stage that knows by heart when it fails."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from insula.simulation import Outcome, Plan
from insula.simulation.choices import LATENCY, Choice
from insula.simulation.hunting.shrink import Shrinker
from insula.simulation.machine.ground import Violation
from insula.simulation.simulation import Stage

SLOW: dict[Choice, float] = {(LATENCY, name): 1.0 for name in ("a", "b", "c", "d")}


class StageByHeart:
    """Fails when "a" is slow. Where "c" is not slow, the run ends before anything but "a" is asked for."""

    def run(self, seed: int, plan: Plan) -> Outcome:
        slow = {name for _, name in plan.choices}
        met = {choice: value for choice, value in plan.choices.items() if "c" in slow or choice[1] == "a"}
        violation = Violation("a is quick", "it was slow", 0.0) if "a" in slow else None
        return Outcome(seed, Plan(seed, met), violation, "", (), (), Counter(), frozenset(), {}, ())


def test_choices_that_a_shorter_run_does_not_meet_are_no_hindrance() -> None:
    stage = cast("Stage", cast("Any", StageByHeart()))
    shortest = Shrinker(stage, stage.run(1, Plan(1, SLOW))).shrink()
    assert list(shortest.plan.choices) == [(LATENCY, "a")]


class CountingStage:
    """Fails when "a" is slow, and whenever an operation is left out: its invariant counts them."""

    def run(self, seed: int, plan: Plan) -> Outcome:
        broken = (LATENCY, "a") in plan.choices or plan.dropped
        violation = Violation("three are charged", "", 0.0) if broken else None
        return Outcome(seed, plan, violation, "", (), ("1", "2", "3"), Counter(), frozenset(), {}, ())


def test_operations_stay_where_leaving_them_out_would_break_the_invariant_by_itself() -> None:
    stage = cast("Stage", cast("Any", CountingStage()))
    shortest = Shrinker(stage, stage.run(1, Plan(1, SLOW))).shrink()
    assert shortest.plan.dropped == frozenset()
    assert list(shortest.plan.choices) == [(LATENCY, "a")]
