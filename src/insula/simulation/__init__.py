"""Proof that a system survives: all of it in one thread and virtual time, with everything that can go wrong."""

from __future__ import annotations

from insula.simulation.choices import Plan
from insula.simulation.hunting.explore import SimulationFailed, explore, simulate
from insula.simulation.hunting.report import Report
from insula.simulation.invariants import (
    Invariant,
    ModuleSnapshot,
    Snapshot,
    always,
    eventually,
    invariant,
    sometimes,
)
from insula.simulation.simulation import Outcome, Simulation
from insula.simulation.workload import Client

__all__ = [
    "Client",
    "Invariant",
    "ModuleSnapshot",
    "Outcome",
    "Plan",
    "Report",
    "Simulation",
    "SimulationFailed",
    "Snapshot",
    "always",
    "eventually",
    "explore",
    "invariant",
    "simulate",
    "sometimes",
]
