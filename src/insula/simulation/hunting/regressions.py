"""Plans that failed once, kept as files and tried first from then on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from insula.kernel.errors import ConfigurationError
from insula.simulation.choices import Plan
from insula.simulation.guards.answering import turn

plans_folder: ContextVar[Path | None] = ContextVar("insula_simulation_plans", default=None)
"""Where the plans of the running test lie; the pytest plugin sets it. None: nothing is kept."""


def saved_plans() -> Sequence[Plan]:
    """The plans kept for the simulation that the running test has begun last, in the order of their names.

    Raises ConfigurationError for a file that is no plan.
    """
    folder = _folder()
    if folder is None or not folder.is_dir():
        return []
    return [_read(file) for file in sorted(folder.glob("*.json"))]


def _read(file: Path) -> Plan:
    try:
        return Plan.from_json(file.read_bytes())
    except ValueError as error:
        raise ConfigurationError(f"{file} is no saved plan: {error}; delete it or resolve the conflict") from error


def _folder() -> Path | None:
    """Another folder for each simulation of a test: a plan of one says nothing about another."""
    folder, number = plans_folder.get(), turn()
    return folder if folder is None or number < 2 else folder.with_name(f"{folder.name}.{number}")


def save(plan: Plan, invariant: str) -> Path | None:
    """Keep a plan for the simulation that was begun last; returns the file, None where there is no folder."""
    folder = _folder()
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", invariant.lower()).strip("-")
    file = folder / f"{name}-seed-{plan.seed}.json"
    file.write_bytes(plan.to_json())
    return file
