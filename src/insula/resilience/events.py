"""What policies tell their listeners: frozen values. A listener is any callable that takes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Event:
    """Something a policy did. Parameters: `policy`, its name; `pipeline`, that of the pipeline it stands in, if it has
    one."""

    policy: str
    pipeline: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Retried(Event):
    """An attempt failed and another one follows.

    Parameters: `function`, what was called; `attempt`, the number of the one that failed, from 1; `delay_seconds`, the
    wait before the next; `error`.
    """

    function: str
    attempt: int
    delay_seconds: float
    error: Exception


@dataclass(frozen=True, slots=True)
class GaveUp(Event):
    """An error that would have been retried is raised. Parameters: as `Retried`; `because`, why no attempt follows."""

    function: str
    attempt: int
    because: str
    error: Exception


@dataclass(frozen=True, slots=True)
class TimeRanOut(Event):
    """A call took too long. Parameters: `function`, what was called; `seconds`, the time it had."""

    function: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Opened(Event):
    """A breaker begins to refuse. Parameters: `open_seconds`, for how long; `because`, what it saw."""

    open_seconds: float
    because: str


@dataclass(frozen=True, slots=True)
class HalfOpened(Event):
    """A breaker lets probes through. Parameters: `probes`, how many."""

    probes: int


@dataclass(frozen=True, slots=True)
class Closed(Event):
    """A breaker lets every call through again."""


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """A call did not take place. Parameters: `because`; `retry_after`, seconds until it may, None if not known."""

    because: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Hedged(Event):
    """A call was slow, and another attempt begins beside it.

    Parameters: `function`, what was called; `attempt`, the number of the one that begins, from 2; `after_seconds`, how
    long the call had been running.
    """

    function: str
    attempt: int
    after_seconds: float


@dataclass(frozen=True, slots=True)
class HedgeWon(Event):
    """A later attempt answered before the first. Parameters: as `Hedged`; `after_seconds`, when the answer came."""

    function: str
    attempt: int
    after_seconds: float


@dataclass(frozen=True, slots=True)
class HedgeSkipped(Event):
    """A call was slow, and no other attempt began. Parameters: `function`, what was called; `because`."""

    function: str
    because: str


@dataclass(frozen=True, slots=True)
class FellBack(Event):
    """A fallback answers in place of a call. Parameters: `function`, what was called; `error`, which it answers."""

    function: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Injected(Event):
    """Chaos strikes a call.

    Parameters: `function`, what was called; `latency_seconds`, how long it waits; `error`, what it then raises, None if
    the call takes place.
    """

    function: str
    latency_seconds: float
    error: Exception | None


@dataclass(frozen=True, slots=True)
class Waited(Event):
    """A call waited for its turn, and takes place. Parameters: `seconds`, for how long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LimitChanged(Event):
    """An adaptive limit moved. Parameters: `before` and `limit`, how many calls might and may run at once."""

    before: int
    limit: int


Listener: TypeAlias = Callable[[Event], object]
