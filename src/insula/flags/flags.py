"""The port through which flags are asked for: always an answer, whatever file, network and context are like."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any
from weakref import WeakSet

from insula.flags.counting import Counters
from insula.flags.deciding import MISSING, Compiler, Decide
from insula.flags.errors import FlagError, FlagsRefused, FlagsUnavailable
from insula.flags.flagset import FlagSet
from insula.flags.kinds import KINDS, Kind, Unfit, fitted, own_copy
from insula.flags.outcome import NOTHING, Details, ErrorCode, NoOutcome, Outcome, Reason
from insula.flags.pinning import pins
from insula.flags.sources import Content, FlagSource, Kept, MemorySource, Unsettled, as_source
from insula.flags.standing import FlagsChange, FlagsState
from insula.kernel.clock import Clock
from insula.kernel.context import clock_of_process

_log = logging.getLogger("insula.flags")

SETTLING_SECONDS = 1.0
"""How soon a file that has just been changed is looked at again."""
_MOST_WARNINGS = 1000

Listener = Callable[[FlagsChange], object]


class Flags:
    """Flags from one source, renewed while they are used. Asking never raises, and neither does making one.

    A good content takes the place of the last at once and as a whole. A bad one, or none, does not: the last good one
    stays, `state.trouble` says why, and it is logged once. Nothing is locked, so threads and forks may use it: of
    two that renew at once one is taken, and the other has to look again.

    Parameters: `source`, or a path, or flags in the shape of a file; `check_seconds`, how long what was read counts
    without another look (default 5); `stale_seconds` after which flags that the source does not confirm are stale
    (default 60); `kept`, a file for the last good content, with which a process begins where the source is of no use.
    """

    def __init__(
        self,
        source: FlagSource | Path | str | dict[str, Any] | None = None,
        *,
        check_seconds: float = 5.0,
        stale_seconds: float = 60.0,
        kept: Path | str | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not check_seconds >= 0 or not stale_seconds >= 0:
            raise FlagError(f"Flags(check_seconds={check_seconds}, stale_seconds={stale_seconds}): give 0 or more")
        self.source = as_source(source)
        self.check_seconds = check_seconds
        self.stale_seconds = stale_seconds
        self._kept = None if kept is None else Kept(Path(kept), self.source.name)
        self._clock: Clock = clock or clock_of_process()
        self.monotonic = self._clock.monotonic
        self._counters = Counters()
        self._turn: dict[str, object] = {}
        """Whoever renews takes it before reading; it serves to put one set in the place of the present one."""
        self._listeners: tuple[Listener, ...] = ()
        self.deciders: Mapping[str, Decide] = {}
        """Key -> the flag as a function, which may raise; replaced when the flags change."""
        self._flags = FlagSet({})
        self._content: Content | None = None
        self._trouble = ""
        self._unready = ErrorCode.PROVIDER_NOT_READY
        self._read_at: tuple[float, datetime] | None = None
        self._kept_trouble = ""
        self._warned = set[str]()
        self._from_kept = False
        self._told_stale = False
        self.watched = self._can_be_watched
        self.polled = False
        """Whether somebody renews them, as a poller does, so that asking need not; see `leave_to_poller`."""
        self.settling = False
        """Whether the source was being written to at the last look; it is worth another look in a second."""
        self.look_at = math.inf
        _ALL.add(self)
        if self.source.waits:
            self._begin_with_kept()
        else:
            self.renew()

    def is_on(self, key: str, subject: Any = None, context: Mapping[str, Any] | None = None) -> bool:
        """Whether a boolean flag is on. Without an answer it is not."""
        return self.details(key, False, "boolean", subject, context).value is True

    def value(self, key: str, default: Any, subject: Any = None, context: Mapping[str, Any] | None = None) -> Any:
        """A flag's value, of whatever type it is. Parameters: as for `details`."""
        return self.details(key, default, None, subject, context).value

    def details(
        self,
        key: str,
        default: Any,
        kind: Kind | None = None,
        subject: Any = None,
        context: Mapping[str, Any] | None = None,
    ) -> Details:
        """A flag's value with variant, reason and error code; it never raises.

        Parameters: `default`, what is taken where there is no answer; `kind`, the type that it must have (default:
        any); `subject`, whose buckets and allow-lists count; `context`, what targeting may ask for.
        """
        try:
            pinned = pins.get()
            if pinned is not None and key in pinned:
                return Details(key, _in_kind(pinned[key], kind), None, Reason.OVERRIDE)
            outcome = self.decide(key, subject, dict(context) if context else {})
            if outcome.value is MISSING:
                next(outcome.counter)
                return Details(key, default, None, outcome.reason, outcome.code, outcome.message, self.metadata(key))
            value = _in_kind(outcome.value, kind)
            next(outcome.counter)
            return Details(key, value, outcome.variant, outcome.reason, metadata=self.metadata(key))
        except Unfit:
            return self.mismatch(key, default, kind)
        except Exception as error:  # a key or context that cannot even be looked at
            return Details(key, default, None, Reason.ERROR, ErrorCode.GENERAL, _shown(error))

    def decide(self, key: str, subject: Any, context: dict[str, Any]) -> Outcome:
        """What a flag comes to, for whoever looks at defaults and types, and then counts it: `next(outcome.counter)`.

        It never raises. Parameters: `context`, as a dict of the caller's, which is left as it is.
        """
        if self.watched and self.monotonic() >= self.look_at:
            self.renew()
        try:
            return self.deciders[key](subject, context)
        except Exception as error:
            return self._undecided(key, error)

    def mismatch(self, key: str, default: Any, kind: Kind | None) -> Details:
        """The details of a flag that is asked for as another type than it has; counted, and logged once."""
        if kind not in KINDS:
            message = f"there is no type {kind!r}; there are {', '.join(KINDS)}"
            return Details(key, default, None, Reason.ERROR, ErrorCode.GENERAL, message)
        message = f"flag {key} is no {kind}"
        self._warn_once(key, f"{self.source.name}: {message}; the code's default is taken")
        next(self._counters.of(key, None))
        return Details(key, default, None, Reason.ERROR, ErrorCode.TYPE_MISMATCH, message, self.metadata(key))

    def _warn_once(self, key: str, message: str) -> bool:
        """Say what is wrong with how a flag is asked for; returns whether it was said, now or before."""
        if key in self._warned:
            return True
        if len(self._warned) >= _MOST_WARNINGS:  # keys may come from anywhere, and never end
            return False
        self._warned.add(key)
        _log.warning("%s", message)
        return True

    def _undecided(self, key: str, error: Exception) -> Outcome:
        try:
            known = key in self.deciders
            if known and isinstance(error, NoOutcome):
                code, message = error.code, str(error)
            elif known:
                code, message = ErrorCode.INVALID_CONTEXT, f"flag {key}: {_shown(error)}"
            elif self._content is None:
                code, message = self._unready, self._trouble or f"{self.source.name} has not been read yet"
            else:
                code, message = ErrorCode.FLAG_NOT_FOUND, f"{self.source.name} has no flag {key}"
                says_nothing = isinstance(self.source, MemorySource) and not self._flags
                known = not says_nothing and self._warn_once(key, f"{message}; the code's default is taken")
            counter = self._counters.of(key, None) if known else count()
        except Exception as unusable:  # a key that is none, and a message that cannot be made
            code, message, counter = ErrorCode.GENERAL, type(unusable).__name__, count()
        return Outcome(MISSING, None, Reason.ERROR, counter, code, message)

    @property
    def _can_be_watched(self) -> bool:
        # Memory changes only when its owner says so, and others that wait are renewed by a poller.
        return not self.source.waits and not isinstance(self.source, MemorySource)

    def leave_to_poller(self, *, polled: bool) -> None:
        """Let somebody renew them from now on, so that asking never does; or no longer."""
        self.polled = polled
        self.watched = self._can_be_watched and not polled

    @property
    def flags(self) -> FlagSet:
        """The newest good set."""
        return self._flags

    def metadata(self, key: str) -> Mapping[str, Any]:
        """The metadata of a flag, which cannot be changed."""
        flag = self._flags.get(key)
        return MappingProxyType(flag.metadata) if flag is not None and flag.metadata else NOTHING

    @property
    def counts(self) -> dict[str, dict[str | None, int]]:
        """Key -> variant -> how often it came to that in this process; None stands for the code's default."""
        return self._counters.read()

    @property
    def state(self) -> FlagsState:
        """How the flags stand now."""
        at = self._read_at
        return FlagsState(
            source=self.source.name,
            version=self._flags.version,
            flags=len(self._flags),
            read_at=None if at is None else at[1],
            age_seconds=self._age,
            stale=self._is_stale,
            trouble=self._trouble,
            from_kept=self._from_kept,
        )

    @property
    def unready(self) -> ErrorCode | None:
        """Why there are no flags at all: nothing could be read, or what was read is none. None where there are."""
        return self._unready if self._content is None else None

    @property
    def _age(self) -> float:
        if isinstance(self.source, MemorySource):
            return 0.0
        return math.inf if self._read_at is None else max(0.0, self.monotonic() - self._read_at[0])

    @property
    def _is_stale(self) -> bool:
        if isinstance(self.source, MemorySource):
            return bool(self._trouble)
        # Nobody may have asked for a while: flags are not stale before a look at their source has failed.
        return (bool(self._trouble) or self.source.waits) and self._age >= self.stale_seconds

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell a function of every change, and when the flags become stale or fresh. Returns what ends that.

        It is called where the change is noticed: while a flag is asked for, or on a poller's thread. What it raises is
        logged, and nothing more.
        """
        self._listeners += (listener,)

        def stop() -> None:
            self._listeners = tuple(each for each in self._listeners if each is not listener)

        return stop

    def renew(self) -> bool:
        """Look at the source now; returns whether there are other flags. What is wrong is logged once, never raised."""
        self.look_at = self.monotonic() + self.check_seconds
        self.settling = False
        turn = self._turn
        try:
            known = None if self._from_kept else self._content
            content = self.source.read(known)
            if content is None or (known is not None and content[:2] == known[:2]):
                return self._confirm(content, known)
            return self._adopt(turn, content, FlagSet.read(content.text, toml=content.toml, origin=self.source.name))
        except Unsettled:
            self.settling = True
            self.look_at = min(self.look_at, self.monotonic() + SETTLING_SECONDS)
            return False
        except Exception as error:  # a source of the user's own may raise whatever it likes
            self._note(error)
            return False

    def note_silence(self) -> None:
        """Note that a look at the source has taken so long that what it last said is stale; whoever waits calls it."""
        self._note(FlagsUnavailable(f"{self.source.name} has not answered for {self.stale_seconds:g} s"))

    def _confirm(self, content: Content | None, known: Content | None) -> bool:
        if content is not None and self._content is known:
            self._content = content  # its tag may be another one
        if self._content is None or self._from_kept:
            raise FlagsUnavailable(f"{self.source.name} says that nothing has changed, but nothing was read before")
        recovered = self._told_stale
        self._fresh()
        if recovered:
            self._tell(FlagsChange(self._flags.version))
        return False

    def _adopt(self, turn: dict[str, object], content: Content, flags: FlagSet) -> bool:
        deciders = Compiler(self._clock, self._counters).compiled(flags)
        if turn.setdefault("taken", flags) is not flags:  # in one go of the interpreter
            self.look_at = self.monotonic()  # what was taken meanwhile may have been read earlier or later
            return False
        first, before = self._content is None, self._flags
        self._flags, self.deciders, self._content = flags, deciders, content
        self._turn = {}
        self._fresh()
        if self._kept is not None:
            try:
                self._kept.save(content)
            except FlagError as error:
                _log.error("%s", error)
        keys = flags.changed_from(before)
        if not isinstance(self.source, MemorySource):
            _log.info("%s: version %s with %d flags is in use", self.source.name, flags.version, len(flags))
        if keys or not first:
            self._tell(FlagsChange(flags.version, keys))
        return bool(keys) or first

    def _fresh(self) -> None:
        self._trouble, self._from_kept, self._told_stale = "", False, False
        self._read_at = (self.monotonic(), self._clock.now())

    def _note(self, error: Exception) -> None:
        shown = str(error) if isinstance(error, FlagError) else f"{self.source.name}: {_shown(error)}"
        if shown != self._trouble:
            stays = f"version {self._flags.version} stays in use" if self._content else "the code's defaults are in use"
            _log.error("%s; %s", shown, stays)
        self._trouble = shown
        if self._content is None:
            self._unready = _unready_by(error)
            self._begin_with_kept()
        if self._is_stale and not self._told_stale:
            self._told_stale = True
            self._tell(FlagsChange(self._flags.version, stale=True, trouble=shown))

    def _begin_with_kept(self) -> None:
        if self._kept is None:
            return
        try:
            content = self._kept.load()
            if content is None:
                return
            flags = FlagSet.read(content.text, toml=content.toml, origin=str(self._kept.path))
            deciders = Compiler(self._clock, self._counters).compiled(flags)
        except Exception as error:  # as of a document that is too deep
            shown = str(error) if isinstance(error, FlagError) else f"{self._kept.path}: {_shown(error)}"
            if shown != self._kept_trouble:
                _log.warning("%s", shown)
            self._kept_trouble = shown
            return
        self._flags, self.deciders, self._content, self._from_kept = flags, deciders, content, True
        self._tell(FlagsChange(flags.version, tuple(sorted(flags))))

    def _tell(self, change: FlagsChange) -> None:
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                _log.exception("a listener of flags failed")

    def begin_anew(self) -> None:
        """Be the flags of a process that was just forked: it counts from nothing, and nobody renews them in it yet."""
        self._turn = {}
        self._counters.forget()


_ALL: WeakSet[Flags] = WeakSet()


def _after_fork() -> None:
    for flags in list(_ALL):
        flags.begin_anew()


os.register_at_fork(after_in_child=_after_fork)


def _unready_by(error: Exception) -> ErrorCode:
    """What to say of flags that there are none yet."""
    if isinstance(error, FlagsRefused):
        return ErrorCode.PROVIDER_FATAL
    if isinstance(error, FlagError) and not isinstance(error, FlagsUnavailable):
        return ErrorCode.PARSE_ERROR
    return ErrorCode.PROVIDER_NOT_READY


def _in_kind(value: Any, kind: Kind | None) -> Any:
    return own_copy(value) if kind is None else fitted(value, kind)


def _shown(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:1000]
    except Exception:  # an exception whose text cannot be made
        return type(error).__name__
