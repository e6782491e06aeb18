"""A stage for a simulation, taken down at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from insula.simulation import Simulation
from insula.simulation.simulation import Stage, stage

OpenStage = Callable[[Simulation], Stage]


@pytest.fixture
def open_stage() -> Iterator[OpenStage]:
    """Sets a simulation up."""
    with ExitStack() as opened:
        yield lambda simulation: opened.enter_context(stage(simulation))
