"""What `insula up` runs: told in a folder beside the modules' data, from which its processes and the tools learn it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from insula.kernel.errors import ConfigurationError
from insula.kernel.randomness import Randomness
from insula.runtime.configuration import Store

FOLDER = "servers"
_FILE = "addresses.json"
_SECRET_BITS = 160


class Addresses(msgspec.Struct, frozen=True):
    """What the processes of a running topology stand on.

    Parameters: `pid`, of `insula up`; `topology`; `database`, the address of the modules' databases, and
    `password_file`, each with `{module}` in it, empty for SQLite files; `transport`, that of the broker.
    """

    pid: int
    topology: str
    database: str = ""
    password_file: str = ""
    transport: str = ""

    @classmethod
    def read(cls, directory: Path) -> Self:
        """What runs for the data in `directory`. Raises ConfigurationError when nothing does."""
        file = directory / FOLDER / _FILE
        try:
            return msgspec.json.decode(file.read_bytes(), type=cls)
        except FileNotFoundError:
            raise ConfigurationError(
                f'{file} is not there: the topology says "local", for servers that `insula up` starts; start it, or '
                "write addresses of your own"
            ) from None
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigurationError(f"{file}: {error}; delete it and start `insula up` again") from error

    @classmethod
    def running(cls, directory: Path) -> Self | None:
        """What runs for the data in `directory`; None when nothing does."""
        try:
            found = cls.read(directory)
        except ConfigurationError:
            return None
        with suppress(PermissionError):  # it is another user's, and runs
            try:
                os.kill(found.pid, 0)
            except ProcessLookupError:
                return None
        return found

    def write(self, directory: Path) -> None:
        """Tell the processes."""
        _write_privately(directory / FOLDER / _FILE, msgspec.json.encode(self))

    @staticmethod
    def remove(directory: Path) -> None:
        """They do not run any more."""
        (directory / FOLDER / _FILE).unlink(missing_ok=True)

    @staticmethod
    def token_file(directory: Path) -> Path:
        """Where the word lies that the processes of a system show each other."""
        return directory / FOLDER / "token"


def keep_secret(file: Path, randomness: Randomness) -> None:
    """Make a file with a secret in it, readable by its owner only, where there is none yet."""
    if not file.exists():
        _write_privately(file, f"{randomness.bits(_SECRET_BITS):040x}\n".encode())


def _write_privately(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(content)


def located(store: Store, directory: Path) -> Store:
    """Where the data is that tools look at: with the databases of the `insula up` that runs for `directory`."""
    found = None if store.address else Addresses.running(directory)
    if found is None or not found.database:
        return store
    return msgspec.structs.replace(store, address=found.database, password_file=found.password_file)
