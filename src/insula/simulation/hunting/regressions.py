"""Plans that failed once, kept as files and tried first from then on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from insula.simulation.choices import Plan

plans_folder: ContextVar[Path | None] = ContextVar("insula_simulation_plans", default=None)
"""Where the plans of the running test lie; the pytest plugin sets it. None: nothing is kept."""


def saved_plans() -> Sequence[Plan]:
    """The plans kept for the running test, in the order of their names."""
    folder = plans_folder.get()
    if folder is None or not folder.is_dir():
        return []
    return [Plan.from_json(file.read_bytes()) for file in sorted(folder.glob("*.json"))]


def save(plan: Plan, invariant: str) -> Path | None:
    """Keep a plan for the running test; returns the file, None where there is no folder."""
    folder = plans_folder.get()
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", invariant.lower()).strip("-")
    file = folder / f"{name}-seed-{plan.seed}.json"
    file.write_bytes(plan.to_json())
    return file
