"""Finding slices: every Python module of a package is imported, so that what it declares is declared."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Iterator
from pathlib import Path

from insula.modules.module import Module

_INSULA = str(Path(__file__).parents[1])


def import_slices(module: Module) -> list[tuple[str, Exception]]:
    """Import the slices of a module; tests (`test_*`, `*_test`, `conftest`) and `__main__` are left out.

    Returns what failed, each as text that names slice, error and place, with the exception.
    """
    if module.slices is None:
        return []
    failures: list[tuple[str, Exception]] = []
    for name in _names(module.slices, failures, module):
        _import(name, failures, module)
    return failures


def _names(package: str, failures: list[tuple[str, Exception]], module: Module) -> Iterator[str]:
    imported = _import(package, failures, module)
    for found in pkgutil.iter_modules(getattr(imported, "__path__", ()), f"{package}."):
        last = found.name.rpartition(".")[2]
        if last.startswith("test_") or last.endswith("_test") or last in ("conftest", "tests", "__main__"):
            continue
        if found.ispkg:
            yield from _names(found.name, failures, module)
        else:
            yield found.name


def _import(name: str, failures: list[tuple[str, Exception]], module: Module) -> object:
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a slice raises is reported with its name
        failures.append((f"slice {name} of {module.place} failed to import: {_described(error)}", error))
        return None


def _described(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if "importlib" not in frame.filename and _INSULA not in frame.filename]
    last = (users or list(frames))[-1]
    place, text = f"{last.filename}:{last.lineno}", f"{type(error).__name__}: {error}"
    return text if place in text else f"{text} ({place})"
