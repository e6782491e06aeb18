"""Where flags come from. Files and memory are here; what needs sockets or drivers is an adapter of the same port."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from insula.flags.errors import FlagError, FlagsUnavailable
from insula.flags.files import replace_file
from insula.flags.flagset import MOST_BYTES, content_of


class Content(NamedTuple):
    """What a source holds now: a file's bytes, in TOML or in JSON.

    `tag` is the source's own, such as an ETag: it gets it back with the content that is in use, and with no other.
    """

    text: bytes
    toml: bool = False
    tag: str = ""


class FlagSource(Protocol):
    """Where flags come from.

    `name` says where, for people, without passwords; `waits`, whether reading waits for something outside of this
    machine: then it is never read while a flag is asked for, only by `Flags.renew`, which a poller calls.
    """

    name: str
    waits: bool

    def read(self, known: Content | None = None) -> Content | None:
        """What it holds; None where that is certainly `known`, the content of it that is in use. Raises `FlagError`.

        A source remembers nothing about `known` by itself: what it has read may have been refused, or a fork have
        lost it.
        """
        ...


class Unsettled(FlagsUnavailable):
    """What a source holds is being written; it may be looked at again in a moment."""


class MemorySource:
    """Flags as a program says them, in the shape of a file: key -> what would stand below [flags.KEY].

    Parameters: `flags`; `version` (default: a digest).
    """

    name = "memory"
    waits = False

    def __init__(self, flags: dict[str, Any] | None = None, *, version: str = "") -> None:
        self._content = _in_memory(flags or {}, version)

    def put(self, flags: dict[str, Any], *, version: str = "") -> None:
        """Say other ones; `Flags.renew` takes them."""
        self._content = _in_memory(flags, version)

    def read(self, known: Content | None = None) -> Content:
        """What was said last."""
        return self._content


def _in_memory(flags: dict[str, Any], version: str) -> Content:
    try:
        return Content(msgspec.json.encode({"version": version, "flags": flags}))
    except (TypeError, ValueError, RecursionError) as error:
        raise FlagError(f"flags in memory: {error}") from None


class FileSource:
    """A file of flags: TOML, or JSON where its name ends so.

    A file that is there anew is taken when two looks have found it of the same size and time: editors and copies write
    in several steps. Parameters: `path`.
    """

    waits = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._last_look: object = None

    def read(self, known: Content | None = None) -> Content:
        """Its content. Raises `FlagsUnavailable` where it cannot be read, `Unsettled` where it is being written."""
        before, self._last_look = self._last_look, self._look()
        content = Content(content_of(self.path), toml=self.path.suffix != ".json")
        if known is None or content.text == known.text or self._last_look == before == self._look():
            return content
        raise Unsettled(f"{self.path} has just been changed")

    def _look(self) -> object:
        try:
            found = self.path.stat()
        except (OSError, ValueError):
            return None  # reading it says why
        return found.st_ino, found.st_size, found.st_mtime_ns


def as_source(source: FlagSource | Path | str | dict[str, Any] | None) -> FlagSource:
    """What stands for a source, as one: nothing, flags in memory, a path. Raises `FlagError` for anything else."""
    if source is None or isinstance(source, dict):
        return MemorySource(source)
    if isinstance(source, Path):
        return FileSource(source)
    if isinstance(source, str) and "://" not in source:
        return FileSource(Path(source))
    if isinstance(source, str) or not hasattr(source, "read"):
        what = "an address" if isinstance(source, str) else f"a {type(source).__name__}"
        raise FlagError(
            f"Flags({what}): give the path of a file, a dict of flags, or a source such as "
            "insula.adapters.http.flag_poll.HttpFlags(url) or insula.adapters.sql.flag_table.FlagTable(address)"
        )
    return source


class Kept:
    """The last good content, on disk: what a process begins with where its source does not answer or is bad.

    It is for its owner alone, says whose content it is, and has a digest of it: what is torn or another source's is not
    taken. Parameters: `path`, replaced as a whole or not at all; `source`, the name of the source.
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self._source = source

    def save(self, content: Content) -> None:
        """Keep it. Raises `FlagError` where that cannot be done."""
        head = _Head(self._source, content.toml, _digest(content.text))
        try:
            replace_file(self.path, msgspec.json.encode(head) + b"\n" + content.text, mode=0o600)
        except (OSError, ValueError) as error:
            raise FlagError(f"{self.path}: the flags could not be kept: {_why(error)}") from None

    def load(self) -> Content | None:
        """What was kept; None where nothing is yet. Raises `FlagError` where it is of no use."""
        try:
            with self.path.open("rb") as file:
                line, _, text = file.read(2 * MOST_BYTES).partition(b"\n")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise FlagError(f"{self.path}: what is kept cannot be read: {_why(error)}") from None
        try:
            head = msgspec.json.decode(line, type=_Head)
        except msgspec.MsgspecError:
            raise FlagError(f"{self.path} is no file of kept flags, and is not taken") from None
        if head.source != self._source:
            raise FlagError(f"{self.path} has the flags of {head.source}, which are not those of {self._source}")
        if head.digest != _digest(text):
            raise FlagError(f"{self.path}: what is kept is damaged, and is not taken")
        return Content(text, toml=head.toml)


class _Head(msgspec.Struct, frozen=True):
    """The first line of what is kept."""

    source: str
    toml: bool
    digest: str


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _why(error: Exception) -> object:
    return (error.strerror if isinstance(error, OSError) else None) or error
