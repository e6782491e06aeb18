"""Flags as `[flags]` of the configuration says: where they come from, and who renews them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from insula.adapters.http.flag_poll import HttpFlags
from insula.adapters.polling.flag_poller import FlagPoller
from insula.adapters.sql.flag_table import FlagAudit, FlagTable
from insula.flags.current import current, use
from insula.flags.editing import edited
from insula.flags.errors import FlagError, FlagsUnavailable
from insula.flags.files import one_at_a_time, replace_file
from insula.flags.flags import Flags
from insula.flags.flagset import FlagSet
from insula.flags.sources import Content, FileSource, FlagSource, MemorySource
from insula.kernel.clock import Clock
from insula.kernel.errors import ConfigurationError
from insula.runtime.configuration import Configuration, FlagSettings

_KEPT = "flags.kept"
_NO_FLAGS = {".toml": Content(b"[flags]\n", toml=True), ".json": Content(b'{"flags": {}}')}
_FILES = tuple(_NO_FLAGS)


def source_of(settings: FlagSettings, clock: Clock | None = None) -> FlagSource:
    """What an address means: a URL of HTTP, a database as SQLAlchemy names it, or a file of TOML or JSON.

    Raises ConfigurationError naming what can be written.
    """
    address = settings.source
    secret = Path(settings.token_file) if settings.token_file else None
    if address.startswith(("http://", "https://")):
        return HttpFlags(address, token_file=secret)
    if "://" in address:
        return FlagTable(address, password_file=secret, clock=clock)
    if address.endswith(_FILES):
        return FileSource(Path(address))
    what = f"flags.source: {_masked(address)} is no place for flags" if address else "flags.source is not set"
    raise ConfigurationError(
        f"{what}; give --source, or write it in [flags] of insula.toml: flags.toml, flags.json, "
        "https://flags.example.org/shop.json, sqlite:///flags.db, postgresql://flags@host/flags"
    )


def _masked(address: str) -> str:
    """An address without what may be secret in it."""
    start, colon, rest = address.partition(":")
    return f"{start}:…" if colon and ("@" in rest or "?" in rest) else address.partition("?")[0]


@contextmanager
def flags_of_process(configuration: Configuration, clock: Clock | None = None) -> Iterator[Flags | None]:
    """Let the process have the configured flags while it runs; None, and the code's defaults, where there are none.

    They are renewed on a thread, so that nobody who asks waits for a file to be read and made ready.
    Where the source does not answer now, the process begins with those that were kept, or with the code's defaults.
    Raises ConfigurationError for an address that is none.
    """
    settings = configuration.flags
    if not settings.source:
        yield None
        return
    kept = Path(settings.kept) if settings.kept else Path(configuration.store.directory) / _KEPT
    flags = Flags(
        source_of(settings, clock),
        check_seconds=settings.check_seconds,
        stale_seconds=settings.stale_seconds,
        kept=kept,
        clock=clock,
    )
    use(flags)
    poller = FlagPoller(flags, clock=clock)
    poller.start()
    try:
        yield flags
    finally:
        poller.stop()


class _AsRead:
    """What a source held when it was read. Parameters: `name` of the source, and its content."""

    waits = False

    def __init__(self, name: str, content: Content) -> None:
        self.name = name
        self._content = content

    def read(self, known: Content | None = None) -> Content:
        return self._content


def read_flags(settings: FlagSettings) -> Flags:
    """The configured flags as they are now, read once. Raises `FlagError` where they cannot be read or are none."""
    source = source_of(settings)
    content = source.read()
    if content is None:
        raise FlagError(f"{source.name} says nothing")
    FlagSet.read(content.text, toml=content.toml, origin=source.name)
    return Flags(_AsRead(source.name, content))


class FlagsStatus(msgspec.Struct, frozen=True):
    """How the flags of a process stand; `counts` has, by key and variant, how often a flag came to that.

    `age_seconds` is how long ago the source last confirmed them; None: never.
    """

    source: str
    version: str
    flags: int
    age_seconds: float | None
    stale: bool
    trouble: str
    counts: dict[str, dict[str, int]]


def flags_status() -> list[FlagsStatus]:
    """How the flags of this process stand; none where it has no source of flags."""
    flags = current()
    if isinstance(flags.source, MemorySource):
        return []
    if flags.watched:
        flags.renew()  # nobody may have asked for a while
    state = flags.state
    age = round(state.age_seconds, 1) if state.read_at is not None else None
    counts = {
        key: {variant or "the code's default": times for variant, times in variants.items()}
        for key, variants in flags.counts.items()
    }
    return [FlagsStatus(state.source, state.version, state.flags, age, state.stale, state.trouble, counts)]


def change_flag(
    settings: FlagSettings, key: str, changes: dict[str, Any], who: str, *, new: bool = False, dry_run: bool = False
) -> bool:
    """Change what is written of a flag; returns whether anything is another thing now.

    Parameters: `changes`, setting -> value, as `flags.editing` takes them; `new`, True to write a flag that is not
    there yet, and the file or the tables where they are missing.
    Raises ConfigurationError for a URL, which can only be read, and `FlagError` where the flag would be none.
    """
    source = source_of(settings)
    if isinstance(source, FlagTable):
        if new and not dry_run:
            source.create()
        return source.change(key, changes, who, new=new, dry_run=dry_run)
    if not isinstance(source, FileSource):
        raise ConfigurationError(f"{source.name} can only be read; change its flags where they are served from")
    if not new and not source.path.parent.exists():
        raise FlagsUnavailable(f"{source.path} is not there; insula flags set {key} --new writes it")
    if dry_run:
        return _change_file(source, key, changes, new=new, dry_run=True)
    try:
        with one_at_a_time(source.path):
            return _change_file(source, key, changes, new=new, dry_run=False)
    except OSError as error:
        raise FlagError(f"{source.path} cannot be written: {error.strerror or error}") from None


def _change_file(source: FileSource, key: str, changes: dict[str, Any], *, new: bool, dry_run: bool) -> bool:
    """Read, edit and replace a file. Raises `FlagError` and OSError."""
    begins = not source.path.exists()
    if begins and not new:
        raise FlagsUnavailable(f"{source.path} is not there; insula flags set {key} --new writes it")
    before = _NO_FLAGS[source.path.suffix] if begins else source.read()
    after = edited(before, key, changes, source.name, new=new)

    def check_again() -> None:  # an editor waits for nobody
        if not begins and source.read() != before:
            raise FlagError(f"{source.path} was changed by somebody else meanwhile; look at it, and do it again")

    if after != before and not dry_run:
        replace_file(source.path, after.text, before=check_again)
    return after != before


def history_of(settings: FlagSettings, key: str) -> list[FlagAudit]:
    """Who changed a flag, the oldest first; nobody is known but in a database."""
    source = source_of(settings)
    return source.history(key) if isinstance(source, FlagTable) else []
