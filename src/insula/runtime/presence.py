"""How tools find the running process of a directory: a small file with its address and an admin token."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from insula.kernel.errors import InsulaError

FILE = "process.json"
PARTS = "processes"
"""The folder in which each process of a topology has its own."""


class Presence(msgspec.Struct, frozen=True):
    """A running process: its id, the address it serves, the token its admin endpoint asks for, its name if it is one of
    several.
    """

    pid: int
    url: str
    token: str
    name: str = ""


def write(directory: Path, presence: Presence) -> None:
    """Announce the process; the file is readable by its owner only."""
    path = directory / FILE
    directory.mkdir(parents=True, exist_ok=True)  # it is not there yet when the data lies elsewhere
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(presence))


def read(directory: Path) -> Presence | None:
    """The process that runs on `directory`, or None. Raises InsulaError for a damaged file."""
    path = directory / FILE
    try:
        presence = msgspec.json.decode(path.read_bytes(), type=Presence)
        os.kill(presence.pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        raise InsulaError(f"{path}: belongs to another user's process") from None
    except msgspec.MsgspecError as error:
        raise InsulaError(f"{path}: {error}; delete it if no process runs here") from error
    return presence


def found(directory: Path) -> list[Presence]:
    """Every process that runs on `directory`: one, or those of a topology. Raises InsulaError for a damaged file."""
    homes = [directory, *sorted(part.parent for part in (directory / PARTS).glob(f"*/{FILE}"))]
    return [presence for home in homes if (presence := read(home)) is not None]


def remove(directory: Path) -> None:
    """Withdraw the announcement."""
    (directory / FILE).unlink(missing_ok=True)
