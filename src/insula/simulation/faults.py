"""What can go wrong, how likely, and how badly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from insula.kernel.errors import ConfigurationError
from insula.kernel.randomness import SeededRandomness


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault.

    Parameters: `least` and `most`, the range of its probability at each opportunity; `value`, its parameter from a
    number in [0, 1); `says`, what it is in words, with {} for the parameter.
    """

    least: float
    most: float
    value: Callable[[float], object]
    says: str


def _seconds(least: float, ratio: float) -> Callable[[float], object]:
    """Seconds from `least` to `least * ratio`; each order of magnitude is as likely as another."""
    return lambda u: round(least * ratio**u, 3)


def _struck(_: float) -> object:
    return True


FAULTS: Mapping[str, FaultKind] = {
    "crash": FaultKind(0.002, 0.06, _seconds(0.05, 600), "the process dies; it starts again after {} s"),
    "crash-anywhere": FaultKind(
        0.2,
        0.8,
        lambda u: [1 + int(u * 600), round(0.05 + u * 5, 3)],
        "the process dies in the middle, at step {0[0]}; it starts again after {0[1]} s",
    ),
    "pause": FaultKind(0.001, 0.03, _seconds(0.5, 80), "the process stands still for {} s"),
    "delay": FaultKind(0.01, 0.2, _seconds(0.1, 300), "it takes {} s to arrive"),
    "loss": FaultKind(0.01, 0.2, _struck, "it gets lost, and is sent again later"),
    "duplicate": FaultKind(0.01, 0.3, _struck, "it arrives twice"),
    "partition": FaultKind(0.01, 0.15, _seconds(0.5, 60), "they cannot reach each other for {} s"),
    "reset-before": FaultKind(0.01, 0.15, _struck, "the connection is cut before the request arrives"),
    "reset-after": FaultKind(0.01, 0.15, _struck, "the connection is cut before the answer arrives"),
    "slow-dependency": FaultKind(0.01, 0.2, _seconds(0.1, 300), "it answers after {} s"),
    "failing-dependency": FaultKind(
        0.01, 0.2, lambda u: "before" if u < 0.5 else "after", "it fails {} it has done what was asked"
    ),
    "rejecting-dependency": FaultKind(0.01, 0.2, _struck, "it says no"),
    "abort": FaultKind(0.005, 0.1, _struck, "the commit fails and nothing is stored"),
    "unknown-outcome": FaultKind(0.002, 0.05, _struck, "the commit is stored, but reported as failed"),
    "disk-full": FaultKind(0.001, 0.02, _seconds(0.5, 40), "the disk is full for {} s"),
    "clock-skew": FaultKind(0.2, 0.8, lambda u: round((u - 0.5) * 20, 3), "its clock is {} s off"),
    "clock-jump": FaultKind(0.002, 0.03, lambda u: round((u - 0.5) * 120, 3), "its clock jumps by {} s"),
}
"""Every kind of fault by name."""


def weights_of(faults: Mapping[str, float] | None) -> dict[str, float]:
    """The weight of each kind: 1, or as given; 0 switches a kind off. Raises ConfigurationError for an unknown
    kind and a weight below 0."""
    given = dict(faults or {})
    unknown = sorted(given.keys() - FAULTS.keys())
    if unknown:
        raise ConfigurationError(f"faults={unknown}: no such kind; there are {', '.join(FAULTS)}")
    negative = [f"{name!r}: {weight}" for name, weight in given.items() if not weight >= 0]
    if negative:
        raise ConfigurationError(f"faults={{{', '.join(negative)}}}: a weight cannot be below 0; 0 switches a kind off")
    return {name: given.get(name, 1.0) for name in FAULTS}


def chances_of(seed: int, weights: Mapping[str, float]) -> dict[str, float]:
    """The probability of each kind under a seed: every second seed is a swarm of half the kinds, the others mix all.

    A swarm finds what a mixture of everything hides (Groce et al., Swarm Testing, 2012).
    """
    randomness = SeededRandomness(f"{seed}/swarm")
    swarm = seed % 2 == 0
    chances: dict[str, float] = {}
    for name, kind in FAULTS.items():
        chosen, where = randomness.random() < 0.5, randomness.random()
        if weights[name] <= 0 or (swarm and not chosen):
            continue
        at = where if swarm else 0.5
        chances[name] = min(1.0, kind.least * (kind.most / kind.least) ** at * weights[name])
    return chances


def described(lane: str, value: object) -> str:
    """A fault in words."""
    return FAULTS[lane].says.format(value) if lane in FAULTS else f"{lane} {value}"
