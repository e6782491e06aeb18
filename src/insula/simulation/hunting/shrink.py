"""From a failing run to the few faults and operations that it takes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from insula.simulation.choices import LATENCY, ORDER, Choice, Plan
from insula.simulation.hunting.sweep import single_faults
from insula.simulation.simulation import Outcome, Stage

Item = TypeVar("Item")

MOST_RUNS = 600
_PAIRS_TRIED = 150


class NotTheSame(Exception):
    """The plan of a failing run does not fail alike: something in the system under test is not deterministic."""


class _Enough(Exception):
    """As many runs as allowed."""


class Shrinker:
    """Makes a failing run smaller while the same invariant fails.

    Parameters: `stage`; `failing`, its outcome; `most_runs` it may take (default 600).
    """

    def __init__(self, stage: Stage, failing: Outcome, most_runs: int = MOST_RUNS) -> None:
        if failing.violation is None:
            raise ValueError("a run that holds cannot be made smaller")
        self.best = failing
        self.runs = 0
        self._stage = stage
        self._invariant = failing.violation.invariant
        self._most_runs = most_runs

    def shrink(self) -> Outcome:
        """The smallest failing run found. Raises NotTheSame."""
        if not self._fails(self.best.plan):
            raise NotTheSame(f"seed {self.best.seed} fails, its plan does not")
        try:
            self._few_faults()
            self._lanes()
            for _ in range(3):
                before = self._size()
                self._fewer_choices()
                self._fewer_operations()
                if self._size() == before:
                    break
            if len(self.best.plan.choices) > 1:
                self._sweep_again()
        except _Enough:
            pass
        return self.best

    def _size(self) -> tuple[int, int]:
        return len(self.best.plan.choices), -len(self.best.plan.dropped)

    def _fails(self, plan: Plan) -> bool:
        """Whether the same invariant fails under a plan; the last one that did is the best."""
        if self.runs >= self._most_runs:
            raise _Enough
        self.runs += 1
        outcome = self._stage.run(plan.seed, plan)
        if outcome.violation is None or outcome.violation.invariant != self._invariant:
            return False
        self.best = outcome
        return True

    def _with(self, choices: Iterable[Choice]) -> Plan:
        plan = self.best.plan
        return Plan(plan.seed, {choice: plan.choices[choice] for choice in choices}, plan.dropped)

    def _few_faults(self) -> None:
        """Is no fault, or one, or two enough, with everything else at its default?"""
        faults = self.best.plan.faults
        pairs = itertools.islice(itertools.combinations(faults, 2), _PAIRS_TRIED)
        for chosen in itertools.chain([()], ((fault,) for fault in faults), pairs):
            if self._fails(self._with(chosen)):
                return

    def _lanes(self) -> None:
        """Whole lanes back to their defaults: who goes first, how long things take, then each kind of fault."""
        lanes = dict.fromkeys(lane for lane, _ in self.best.plan.choices)
        for lane in sorted(lanes, key=lambda lane: (lane != ORDER, lane != LATENCY)):
            kept = [choice for choice in self.best.plan.choices if choice[0] != lane]
            if len(kept) < len(self.best.plan.choices):
                self._fails(self._with(kept))

    def _fewer_choices(self) -> None:
        plan = self.best.plan  # a shorter run meets fewer of them: the best plan may lose some while this goes on

        def fails(kept: Sequence[Choice]) -> bool:
            return self._fails(Plan(plan.seed, {choice: plan.choices[choice] for choice in kept}, plan.dropped))

        minimize(list(plan.choices), fails)

    def _fewer_operations(self) -> None:
        plan = self.best.plan
        took_place = [each for each in dict.fromkeys(self.best.operations) if each not in plan.dropped]

        def fails(kept: Sequence[str]) -> bool:
            dropped = frozenset(plan.dropped | (set(took_place) - set(kept)))
            if not self._blames_the_faults(dropped, frozenset(took_place)):
                return False
            return self._fails(Plan(plan.seed, self.best.plan.choices, dropped))

        minimize(took_place, fails)

    def _blames_the_faults(self, dropped: frozenset[str], every: frozenset[str]) -> bool:
        """Whether the invariant does not fail merely because operations are left out, as one that counts them would."""
        bare = Plan(self.best.plan.seed, {}, dropped if self.best.plan.choices else every)
        self.runs += 1
        violation = self._stage.run(bare.seed, bare).violation
        return violation is None or violation.invariant != self._invariant

    def _sweep_again(self) -> None:
        """Does a single fault do, now that few operations are left?"""
        bare = Plan(self.best.plan.seed, {}, self.best.plan.dropped)
        offered = self._stage.run(bare.seed, bare).offered
        for plan in single_faults(bare, offered):
            if self._fails(plan):
                return


def minimize(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> Sequence[Item]:
    """A smaller sequence that still fails; no single item of it can be left out.

    Delta debugging (Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).
    """
    parts = 2
    while len(items) >= 2:
        size = max(1, len(items) // parts)
        for start in range(0, len(items), size):
            rest = [*items[:start], *items[start + size :]]
            if fails(rest):
                items, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(len(items), parts * 2)
    if len(items) == 1 and fails([]):
        return []
    return items
