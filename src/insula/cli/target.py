"""Finds the system a command is about: `package.module:name`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TypeVar

from insula.kernel.errors import ConfigurationError
from insula.modules import System
from insula.runtime.configuration import Configuration

T = TypeVar("T")


def find_system(target: str | None, configuration: Configuration) -> System:
    """Import the target, by default the one that insula.toml names.

    Raises ConfigurationError saying what is missing and how to write it.
    """
    text = target or configuration.system
    if not text:
        raise ConfigurationError(
            'which system? Give one, like `insula run shop.system:shop`, or system = "…" in insula.toml'
        )
    return find(text, System)


def find(target: str, kind: type[T]) -> T:
    """Import `package.module:name`; without a name, the only one of its kind there.

    Raises ConfigurationError saying what is missing and how to write it.
    """
    module_name, _, attribute = target.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        parent, _, last = module_name.rpartition(".")
        hint = f"; write package.module:name, like {parent}:{last}" if parent and not attribute else ""
        raise ConfigurationError(f"{target}: there is no Python module {error.name} below {here}{hint}") from error
    if not attribute:
        found = [value for value in vars(module).values() if isinstance(value, kind)]
        if len(found) != 1:
            what = kind.__name__.lower()
            raise ConfigurationError(
                f"{target}: name the {what}, like {module_name}:{what} ({len(found)} {what}s are there)"
            )
        return found[0]
    value = getattr(module, attribute, None)
    if not isinstance(value, kind):
        raise ConfigurationError(f"{target}: {module_name} has no {kind.__name__} called {attribute!r}")
    return value
