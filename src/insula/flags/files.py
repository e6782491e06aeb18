"""Files that are replaced as a whole: by one at a time, and so that nobody ever reads half of one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_NEW_FILE = 0o666


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Wait until nobody else, in this process or another, changes the file this way, and keep others waiting.

    What is locked is the file `.NAME.lock` beside it, which stays. Raises OSError.
    """
    real = path.resolve()
    real.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _opened(real.with_name(f".{real.name}.lock"))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, _NEW_FILE)
    except PermissionError:  # somebody else's, which can be locked all the same
        return os.open(lock, os.O_RDONLY)


def replace_file(
    path: Path, content: bytes, *, mode: int | None = None, before: Callable[[], object] | None = None
) -> None:
    """Write a file so that whoever reads it, also after a crash, finds the old content or the new. Raises OSError.

    Parameters: `mode` (default: owner, group and mode of the file that is there); `before`, called when all is written
    and the old file still stands: what it raises leaves it so.
    """
    real = path.resolve()  # a link stays one
    real.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".new", dir=real.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            _give_away(file.fileno(), real, mode)
            os.fsync(file.fileno())
        if before is not None:
            before()
        beside.replace(real)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _give_away(descriptor: int, real: Path, mode: int | None) -> None:
    """Let a new file belong to whom the old one does, and be readable for the same."""
    if mode is not None:
        os.fchmod(descriptor, mode)
        return
    try:
        old = real.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, _NEW_FILE & ~_umask())
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError as error:
            whose = f"it belongs to user {old.st_uid} and group {old.st_gid}, and would not afterwards; do it as they"
            raise PermissionError(error.errno, whose) from None
    os.fchmod(descriptor, old.st_mode & 0o7777)


def _umask() -> int:
    """What the process takes from new files; it can only be read by setting it, for that moment to the strictest."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
