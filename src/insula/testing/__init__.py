"""Testing: a scenario over a system or one module, in virtual time, in plain pytest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insula.testing.clock import VirtualClock, virtual_time
    from insula.testing.scenario import Scenario, Unsettled

__all__ = ["Scenario", "Unsettled", "VirtualClock", "virtual_time"]

_HOMES = {"Scenario": "scenario", "Unsettled": "scenario", "VirtualClock": "clock", "virtual_time": "clock"}


def __getattr__(name: str) -> Any:
    # Lazily: pytest loads the plugin beside this file in every run, also in those that test something else.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
