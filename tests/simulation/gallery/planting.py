"""How a bug is planted in the framework itself: through a port whose stand-in is entered as the process starts."""

from __future__ import annotations

from typing import cast

from insula.runtime.wiring import Wired
from insula.simulation.machine.process import current_process
from insula.simulation.world import World


def wired_of_this_process() -> Wired:
    """The parts of the application that starts now, before any of them has begun to work."""
    process = current_process.get()
    world = cast("World", process.world)
    return next(each.wired for each in world.services if each.process is process)
