"""Checks that modules meet only where they may, at each other's contracts, and that their policies make sense."""

from insula.boundaries.imports import CheckUnavailable, Crossing, crossings
from insula.boundaries.policies import PolicyProblem, policy_problems

__all__ = ["CheckUnavailable", "Crossing", "PolicyProblem", "crossings", "policy_problems"]
