"""Every single fault at every effect boundary of one workload; and pairs, by sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from insula.kernel.randomness import SeededRandomness
from insula.simulation.choices import Choice, Plan
from insula.simulation.faults import FAULTS

Offered = Mapping[Choice, Callable[[float], object]]

_USUAL = (0.5,)
_VALUES: Mapping[str, tuple[float, ...]] = {
    "pause": (0.9,),  # longer than anybody waits
    "delay": (0.8,),
    "failing-dependency": (0.0, 0.9),  # before the effect, and after it
    "clock-skew": (0.0, 0.999),  # behind, and ahead
    "clock-jump": (0.0, 0.999),
}
"""Where in its range each kind of fault is tried; in the middle by default."""

_NOT_SWEPT = frozenset({"crash-anywhere"})  # no boundary: the crashes at boundaries cover its effects


def single_faults(base: Plan, offered: Offered) -> Iterator[Plan]:
    """A plan for each fault that can strike a run, beside what `base` chooses.

    Parameters: `base`, such as the plan of a run without faults; `offered`, what that run could have met.
    """
    for choice, value in offered.items():
        lane = choice[0]
        if lane not in FAULTS or lane in _NOT_SWEPT or choice in base.choices:
            continue
        for where in _VALUES.get(lane, _USUAL):
            yield Plan(base.seed, {**base.choices, choice: value(where)}, base.dropped)


def pairs(base: Plan, offered: Offered, count: int, seed: int = 0) -> Iterator[Plan]:
    """As many plans of two faults, chosen by `seed`."""
    singles = [plan.choices for plan in single_faults(base, offered)]
    randomness = SeededRandomness(f"{seed}/pairs")
    for _ in range(count if len(singles) > 1 else 0):
        one, other = (singles[int(randomness.random() * len(singles))] for _ in range(2))
        yield Plan(base.seed, {**one, **other}, base.dropped)
