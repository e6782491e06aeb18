"""A system: its modules, as a value. The runtime runs it, the tools read it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from insula.modules.declaration import Place
from insula.modules.module import Module


@dataclass(frozen=True, init=False)
class System:
    """Modules that make up one product.

    Parameters: `name`; the modules, in the order in which they start.
    Raises TypeError when there are none, or for what is no Module.
    """

    name: str
    modules: tuple[Module, ...]
    place: Place

    def __init__(self, name: str, *modules: Module) -> None:
        place = Place.of_frame(sys._getframe(1), f"system {name!r}")
        if not modules:
            raise TypeError(f"{place}: has no modules; give them after the name, System({name!r}, orders)")
        for module in modules:
            if not isinstance(module, Module):
                raise TypeError(f"{place}: {module!r} is no Module; give the Module itself, not its name")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "modules", modules)
        object.__setattr__(self, "place", place)
