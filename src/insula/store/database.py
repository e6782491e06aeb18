"""The port of a module's database: units of work, and what the framework keeps beside the user's tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from insula.kernel.context import MessageContext
from insula.messages import Envelope
from insula.store.log import Log
from insula.store.unit_of_work import Parameters, Statement, SyncUnitOfWork, UnitOfWork

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of the inbox: `consumer` has taken message `message_id`.

    `source` and `position` tell where the message stands in its log (`position` 0: it was called directly),
    `fingerprint` is a digest of its content, so that one id with two contents is noticed.
    """

    consumer: str
    message_id: str
    source: str = ""
    position: int = 0
    fingerprint: str = ""


class Outcome(StrEnum):
    """How a marked message ended."""

    DONE = "done"
    REJECTED = "rejected"
    DROPPED = "dropped"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to a message: kept with its mark, so that a redelivery is answered alike."""

    outcome: Outcome
    body: bytes = b""
    fingerprint: str = ""


class ParkedState(StrEnum):
    """Whether a parked message waits for its next attempt, or for an operator."""

    WAITING = "waiting"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Parked:
    """A message set aside, with all later ones of its key, until it succeeds, is retried or dropped."""

    sequence: int
    consumer: str
    source: str
    key: str
    envelope: Envelope
    attempts: int
    due: datetime
    state: ParkedState
    error: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Timer:
    """An envelope that enters the log when it is due; `schedule` names the recurring declaration it belongs to."""

    identifier: str
    due: datetime
    envelope: Envelope
    schedule: str = ""


class Departure(Protocol):
    """Collects what a handler publishes and sends; the unit writes it to log and timers when it ends."""

    envelopes: list[Envelope]
    timers: list[Timer]

    @property
    def single(self) -> bool:
        """Whether exactly one row leaves, which is written by one statement."""
        ...

    def reset(self) -> None:
        """Forget everything: the handler runs again."""
        ...

    def publish(self, event: Any) -> None: ...
    def send(self, command: Any, *, delay: timedelta | None = None) -> None: ...


@dataclass(slots=True)
class Scope:
    """What a unit needs to know about the message it runs for.

    `place` names the handler for errors; `context` is what surrounds the message, None for the framework's own work;
    `answer` encodes the returned value (default: nothing is kept);
    `reject` encodes a rejection; `finally_` are framework steps that commit with the effects, such as
    removing the parked row that was retried.
    """

    place: str
    departure: Departure | None = None
    mark: Mark | None = None
    answer: Callable[[Any], bytes] | None = None
    reject: Callable[[Exception], bytes] | None = None
    finally_: Sequence[Callable[[Unit], Awaitable[None]]] = ()
    context: MessageContext | None = None


class Unit(UnitOfWork, Protocol):
    """The unit of work as framework code sees it: the user's verbs, and the framework's own tables."""

    @property
    def writing(self) -> str | None:
        """`file:line` of the first statement, once the unit holds the writer's turn."""
        ...

    async def append(self, envelopes: Sequence[Envelope]) -> None: ...
    async def park(self, consumer: str, envelope: Envelope, *, attempts: int, due: datetime, error: str) -> None: ...
    async def repark(self, sequence: int, *, attempts: int, due: datetime, state: ParkedState, error: str) -> None: ...
    async def bury(self, consumer: str, message_id: str) -> None: ...
    async def turn(self) -> None: ...
    async def rename_consumer(self, before: str, after: str) -> None: ...
    async def unpark(self, sequence: int) -> None: ...
    async def save_cursor(self, name: str, position: int) -> None: ...
    async def begin_cursor(self, name: str, position: int) -> None:
        """Save a cursor where there is none of that name; leave one that is there alone."""
        ...

    async def save_timers(self, timers: Sequence[Timer]) -> None: ...
    async def remove_timers(self, identifiers: Collection[str]) -> None: ...
    async def close(self, mark: Mark, outcome: Outcome) -> None: ...


class Duplicate(Exception):
    """The message was marked before; carries what was answered then."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("the message was taken before")
        self.answer = answer


class Database(Log, Protocol):
    """One module's durable state. Every method that writes waits until the write is durable."""

    async def perform(self, body: Callable[[Unit], Awaitable[Value]], scope: Scope) -> Value:
        """Run `body` as one unit of work.

        `body` may run more than once (lost batch, stale peek). Raises `Duplicate` when the scope's mark was
        there before, the body's own `Rejection` after it was recorded durably, and `Failure`s.
        """
        ...

    async def perform_in_thread(self, body: Callable[[SyncUnitOfWork], Value], scope: Scope) -> Value:
        """The same for a synchronous body, which runs on a worker thread."""
        ...

    def reading(self, place: str) -> UnitOfWork:
        """A read-only unit of work for the handler of a query."""
        ...

    async def read_in_thread(self, body: Callable[[SyncUnitOfWork], Value], place: str) -> Value:
        """Run the synchronous handler of a query on a worker thread."""
        ...

    async def read(self, statement: Statement, parameters: Parameters = None) -> Sequence[Any]:
        """Rows of committed state."""
        ...

    async def answer_of(self, mark: Mark) -> Answer | None: ...
    async def cursor(self, name: str) -> int | None: ...
    async def parked_keys(self) -> Collection[tuple[str, str, str]]: ...
    async def parked_due(self, consumers: Collection[str], now: datetime, limit: int) -> Sequence[Parked]: ...
    async def parked_next(self, consumers: Collection[str], after: datetime | None = None) -> datetime | None: ...
    async def parked_chosen(self, sequences: Collection[int]) -> Sequence[Parked]: ...
    async def parked_of(self, consumer: str, source: str, key: str) -> Parked | None: ...
    async def parked_counts(self) -> Mapping[ParkedState, int]: ...
    async def parked_list(self, *, dead_only: bool, limit: int) -> Sequence[Parked]: ...
    async def timers_due(self, now: datetime, limit: int) -> Sequence[Timer]: ...
    async def timers_next(self, *, once: bool = False) -> datetime | None: ...
    async def timers_recurring(self) -> Sequence[Timer]: ...
    async def prune(
        self, *, marks: dict[str, int], answers_before: datetime, log_below: int, log_before: datetime, limit: int
    ) -> int:
        """Delete marks no redelivery can need (per source, up to a position), answers and log rows past retention."""
        ...
