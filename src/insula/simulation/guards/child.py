"""python -m insula.simulation.guards.child package.module:name    simulates for a parent that compares interpreters"""

from __future__ import annotations

import importlib
import sys

from insula.kernel.errors import ConfigurationError
from insula.simulation.guards.answering import MODE, answer_parent
from insula.simulation.simulation import Simulation


def find_simulation(target: str) -> Simulation:
    """Import `package.module:name`. Raises ConfigurationError if it is no Simulation."""
    module, _, name = target.partition(":")
    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, Simulation):
        raise ConfigurationError(f"{target}: {module} has no Simulation called {name!r}")
    return found


if __name__ == "__main__":
    sys.exit(0 if answer_parent(find_simulation(sys.argv[1])) else f"{MODE} is not set: nobody asks")
