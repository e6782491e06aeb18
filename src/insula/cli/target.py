"""Finds the system a command is about: `package.module:name`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from insula.kernel.errors import ConfigurationError
from insula.modules import System
from insula.runtime.configuration import Configuration


def find_system(target: str | None, configuration: Configuration) -> System:
    """Import the target, by default the one that insula.toml names.

    Raises ConfigurationError saying what is missing and how to write it.
    """
    text = target or configuration.system
    if not text:
        raise ConfigurationError(
            'which system? Give one, like `insula run shop.system:shop`, or system = "…" in insula.toml'
        )
    module_name, _, attribute = text.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise ConfigurationError(f"{text}: there is no Python module {error.name} below {here}") from error
    if not attribute:
        found = [value for value in vars(module).values() if isinstance(value, System)]
        if len(found) != 1:
            raise ConfigurationError(
                f"{text}: name the system, like {module_name}:shop ({len(found)} systems are there)"
            )
        return found[0]
    system = getattr(module, attribute, None)
    if not isinstance(system, System):
        raise ConfigurationError(f"{text}: {module_name} has no System called {attribute!r}")
    return system
