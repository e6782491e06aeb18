"""Every public name stands in public_api.txt, so that a change of the public API is a line in a diff.

python tests/test_public_api.py        writes the file anew
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import insula

SNAPSHOT = Path(__file__).with_name("public_api.txt")
FRONT_DOOR_LIMIT = 30


def public_packages() -> list[str]:
    """The front door, and every package whose own file says what is public."""
    found = pkgutil.walk_packages(insula.__path__, prefix="insula.")
    packages = ["insula", *(module.name for module in found if module.ispkg)]
    return [package for package in packages if hasattr(importlib.import_module(package), "__all__")]


def public_names() -> str:
    """One line a name, `package.Name`, in order."""
    lines = {f"{package}.{name}" for package in public_packages() for name in importlib.import_module(package).__all__}
    return "\n".join(sorted(lines)) + "\n"


def test_the_public_names_are_those_of_the_snapshot() -> None:
    assert public_names() == SNAPSHOT.read_text(), "the public API changed; if on purpose: make public-api"


def test_every_public_name_exists() -> None:
    missing = [
        f"{package}.{name}"
        for package in public_packages()
        for name in importlib.import_module(package).__all__
        if not hasattr(importlib.import_module(package), name)
    ]
    assert missing == []


def test_the_front_door_stays_narrow_and_type_checkers_see_the_same_names() -> None:
    stub = ast.parse(Path(insula.__file__).with_suffix(".pyi").read_text())
    exported = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert exported == [alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(filter(None, exported)) == sorted(insula.__all__)
    assert len(insula.__all__) <= FRONT_DOOR_LIMIT


def test_a_name_that_the_front_door_has_not_is_an_attribute_error() -> None:
    assert not hasattr(insula, "Nothing")


if __name__ == "__main__":
    SNAPSHOT.write_text(public_names())
