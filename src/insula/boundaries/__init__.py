"""Checks that modules meet only where they may, at each other's contracts, and that their policies make sense."""

from insula.boundaries.baseline import Compared, compared, read_baseline, write_baseline
from insula.boundaries.imports import CheckUnavailable, Crossing, Territory, crossings, territories
from insula.boundaries.policies import PolicyProblem, policy_problems

__all__ = [
    "CheckUnavailable",
    "Compared",
    "Crossing",
    "PolicyProblem",
    "Territory",
    "compared",
    "crossings",
    "policy_problems",
    "read_baseline",
    "territories",
    "write_baseline",
]
