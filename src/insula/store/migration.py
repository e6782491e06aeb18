"""Migrations: numbered files, applied once, in order, never edited afterwards. Pure: what to apply is decided here."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insula.kernel.errors import ConfigurationError

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.(sql|py)")


class MigrationEdited(ConfigurationError):
    """A migration that was applied has been changed or removed since; write a new one instead."""


class MigrationFailed(ConfigurationError):
    """A migration could not be applied; the transaction it ran in was rolled back."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: SQL text, or a Python file with `def upgrade(connection)`."""

    number: int
    name: str
    path: Path
    text: str
    checksum: str
    upgrade: Callable[[Any], None] | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What the database says has been applied."""

    number: int
    name: str
    checksum: str


def found_in(folder: Path, owner: str) -> Sequence[Migration]:
    """The migrations of a folder in order.

    Parameters: `owner`, the module whose they are, for errors.
    Raises ConfigurationError for a missing folder, a file whose name does not fit, and a number used twice.
    """
    if not folder.is_dir():
        raise ConfigurationError(
            f"module {owner!r}: {folder.absolute()}: no such folder of migrations; create it or drop migrations="
        )
    found: dict[int, Migration] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".sql", ".py") or path.name == "__init__.py":
            continue
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise ConfigurationError(f"{path}: name it like 0001_what_it_does.sql (or .py)")
        migration = _load(path, int(match[1]), match[2])
        other = found.setdefault(migration.number, migration)
        if other is not migration:
            raise ConfigurationError(f"{path} and {other.path} have the same number; renumber one")
    return [found[number] for number in sorted(found)]


def _load(path: Path, number: int, name: str) -> Migration:
    text = path.read_text(encoding="utf-8")
    checksum = hashlib.sha256(text.encode()).hexdigest()
    upgrade = None
    if path.suffix == ".py":
        specification = importlib.util.spec_from_file_location(f"insula_migration_{path.stem}", path)
        if specification is None or specification.loader is None:
            raise ConfigurationError(f"{path}: cannot be loaded")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        upgrade = getattr(module, "upgrade", None)
        if not callable(upgrade):
            raise ConfigurationError(f"{path}: has no `def upgrade(connection)`")
    return Migration(number, name, path, text, checksum, upgrade)


def pending(found: Sequence[Migration], applied: Sequence[Applied], owner: str) -> Sequence[Migration]:
    """What is left to apply, in order.

    Raises `MigrationEdited` for an applied file that was changed or removed, and for a new one numbered before it.
    """
    by_number = {migration.number: migration for migration in found}
    for record in applied:
        migration = by_number.get(record.number)
        if migration is None:
            raise MigrationEdited(
                f"{owner}: migration {record.number:04}_{record.name} was applied but its file is gone"
            )
        if migration.checksum != record.checksum:
            raise MigrationEdited(f"{migration.path} was edited after it was applied; restore it and write a new one")
    newest = max((record.number for record in applied), default=0)
    outstanding = [migration for migration in found if migration.number not in {record.number for record in applied}]
    for migration in outstanding:
        if migration.number < newest:
            raise MigrationEdited(
                f"{migration.path} comes before {newest:04}, which was applied; give it a higher number"
            )
    return outstanding
