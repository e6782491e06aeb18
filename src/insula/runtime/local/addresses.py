"""What `insula up` runs: told in a folder beside the modules' data, from which its processes and the tools learn it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError
from insula.kernel.randomness import Randomness
from insula.runtime.configuration import Store

FOLDER = "servers"
_FILE = "addresses.json"
_LOCK = "lock"
_TRIES = 10
_TRY_AGAIN_SECONDS = 0.02
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
        descriptor = _locked(directory, fcntl.LOCK_SH)
        if descriptor is None:
            return found
        os.close(descriptor)
        return None

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


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Be the only `insula up` for the data in `directory`, until the end of the block or of the process.

    Raises ConfigurationError when there is one. A lock tells, not the id of a process: another one may have that now.
    """
    (directory / FOLDER).mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):  # a tool that looks whether one runs is through in a moment
        descriptor = _locked(directory, fcntl.LOCK_EX)
        if descriptor is not None:
            break
        SystemClock().block(_TRY_AGAIN_SECONDS)
    else:
        raise runs_already(directory, (directory / FOLDER / _LOCK).read_text(encoding="utf-8") or "unknown")
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def runs_already(directory: Path, process: int | str) -> ConfigurationError:
    """What to say to a second `insula up`."""
    return ConfigurationError(
        f"{directory.absolute()}: `insula up` runs here already, as process {process}; stop it, or name another "
        "--directory"
    )


def _locked(directory: Path, kind: int) -> int | None:
    """The lock's descriptor; None while somebody holds it."""
    descriptor = os.open(directory / FOLDER / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


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
