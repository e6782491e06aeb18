"""A list of crossings that are known: they pass, new ones do not, and whatever is gone has to leave the list.

So code that grew without boundaries gets better one import at a time and never worse (a ratchet).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from insula.boundaries.imports import Crossing
from insula.kernel.errors import ConfigurationError

_ARROW = " -> "
_HEADING = (
    "# Imports past contracts that are known. `insula check --baseline` passes them and refuses every other;",
    "# `--update-baseline` writes this file again. It should only ever grow shorter.",
)

Known = frozenset[tuple[str, str]]
"""Importer and imported, Python module names. Without lines: those change whenever something above them does."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Parameters: `new` crossings, that are not known; `gone`, a sentence for each known one that is no more."""

    new: Sequence[Crossing]
    gone: Sequence[str]


def read_baseline(file: Path) -> Known:
    """The crossings that a file lists. Raises ConfigurationError naming file and line."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise ConfigurationError(f"{file}: no such file; --update-baseline writes it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from error
    known: set[tuple[str, str]] = set()
    for number, line in enumerate(lines, 1):
        entry = line.partition("#")[0].strip()
        if entry:
            importer, arrow, imported = entry.partition(_ARROW)
            if not (arrow and importer.strip() and imported.strip()):
                raise ConfigurationError(f"{file}:{number}: {entry!r}; write a line as `importer{_ARROW}imported`")
            known.add((importer.strip(), imported.strip()))
    return frozenset(known)


def write_baseline(file: Path, found: Iterable[Crossing]) -> int:
    """List crossings in a file, in one step; returns how many lines it has."""
    lines = sorted({f"{each.importer}{_ARROW}{each.imported}" for each in found})
    beside = file.with_name(f"{file.name}.new")
    try:
        beside.write_text("\n".join((*_HEADING, *lines, "")), encoding="utf-8")
        os.replace(beside, file)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
    return len(lines)


def compared(found: Sequence[Crossing], known: Known, file: Path) -> Compared:
    """What of the crossings is new, and what the list has too much."""
    there = {(each.importer, each.imported) for each in found}
    return Compared(
        new=[each for each in found if (each.importer, each.imported) not in known],
        gone=[
            f"{file}: {importer}{_ARROW}{imported} is there no more; take the line out, or run --update-baseline"
            for importer, imported in sorted(known - there)
        ],
    )
