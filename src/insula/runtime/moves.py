"""Where a module's data lies when it is not where the configuration says: a small file for each that was moved."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import msgspec

from insula.kernel.errors import ConfigurationError

FOLDER = "moves"


class MoveState(StrEnum):
    """How far a move is."""

    UNDER_WAY = "under way"
    """The source says whether it has happened: it is one row there."""

    MOVED = "moved"
    """The target is in use; the source is kept, so that there is a way back."""

    FINISHED = "finished"
    """There is no way back."""


class Move(msgspec.Struct, frozen=True):
    """A module's way from one place to another.

    Parameters: `identifier`, which both databases have noted; `address` of the target, with `password_file`;
    `source`, where it came from, with `source_password_file`; `state`; `back`, whether it is on its way back there.
    """

    module: str
    identifier: str
    address: str
    password_file: str = ""
    source: str = ""
    source_password_file: str = ""
    state: MoveState = MoveState.UNDER_WAY
    back: bool = False

    def write(self, directory: Path) -> None:
        """Keep it, durably and readable by its owner only: the address may have a password in it."""
        file = _file(directory, self.module)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".fresh")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as output:
            output.write(msgspec.json.encode(self))
            output.flush()
            os.fsync(output.fileno())
        fresh.replace(file)
        _keep_names(file.parent)


def move_of(directory: Path, module: str) -> Move | None:
    """The move of a module, None when it is where the configuration says. Raises ConfigurationError."""
    file = _file(directory, module)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Move)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"{file}: {error}; it says where the data of {module} lies: mend it") from error


def forget(directory: Path, module: str) -> None:
    """The module is where the configuration says."""
    file = _file(directory, module)
    file.unlink(missing_ok=True)
    if file.parent.exists():
        _keep_names(file.parent)


def _file(directory: Path, module: str) -> Path:
    return directory / FOLDER / f"{module}.json"


def _keep_names(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
