"""What Insula keeps in a module's database, as short statements on the writer's connection, inside a unit's turn."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from insula.kernel.clock import Clock
from insula.messages import Envelope
from insula.store.database import Answer, Mark, Outcome, Parked, ParkedState, Timer
from insula.store.envelopes import decode_envelope, decode_headers, encode_envelope, headers_of, parking_key

LOG_COLUMNS = "position, message_id, kind, type, schema_version, key, headers, data, time"

_MARK = "insert or ignore into insula_inbox values (?, ?, ?, ?, ?, 'done', '', ?) -- insula"
_ANSWER = "update insula_inbox set outcome = ?, answer = ? where consumer = ? and message_id = ? -- insula"
ANSWERED = "select outcome, answer, fingerprint from insula_inbox where consumer = ? and message_id = ?"
_APPEND = (
    "insert into insula_log (message_id, kind, type, schema_version, key, headers, data, time)"
    " values (?, ?, ?, ?, ?, ?, ?, ?) -- insula"
)
_PARK = (
    "insert or ignore into insula_parked"
    " (consumer, source, key, message_id, envelope, attempts, due, state, error, since)"
    " select ?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ? where not exists"
    " (select 1 from insula_inbox where consumer = ?1 and message_id = ?4) -- insula"
)
_REPARK = "update insula_parked set attempts = ?, due = ?, state = ?, error = ? where sequence = ? -- insula"
_BURY = "update insula_parked set state = 'dead' where consumer = ? and message_id = ? -- insula"
_TIMER = "insert or replace into insula_timer (identifier, due, schedule, envelope) values (?, ?, ?, ?) -- insula"
_CURSOR = "insert or replace into insula_cursor values (?, ?) -- insula"
_NEW_CURSOR = "insert or ignore into insula_cursor values (?, ?) -- insula"


class BookKeeping:
    """The framework's own rows. Every method is one statement or a few, and expects to be inside a turn."""

    def __init__(self, statement: Callable[..., sqlite3.Cursor], clock: Clock) -> None:
        self._statement = statement
        self._clock = clock

    def _now(self) -> str:
        return timestamp(self._clock.now())

    def mark(self, mark: Mark) -> bool:
        """Insert a mark; False when it is there already."""
        row = (mark.consumer, mark.message_id, mark.source, mark.position, mark.fingerprint, self._now())
        return self._statement(_MARK, row).rowcount == 1

    def answer(self, mark: Mark, answer: Answer) -> None:
        """Keep what was answered."""
        row = (answer.outcome.value, answer.body.decode(), mark.consumer, mark.message_id)
        self._statement(_ANSWER, row)

    def find(self, mark: Mark) -> Answer:
        """What was answered to a marked message."""
        row = self._statement(ANSWERED, (mark.consumer, mark.message_id)).fetchone()
        return answer_of(row)

    def append(self, envelopes: Iterable[Envelope]) -> set[str]:
        """Append to the log, which numbers the rows; returns the types appended."""
        types = set()
        for each in envelopes:
            row = (
                each.id, each.kind, each.type, each.version, each.subject, headers_of(each),
                each.data.decode(), timestamp(each.time),
            )  # fmt: skip
            self._statement(_APPEND, row)
            types.add(each.type)
        return types

    def park(self, consumer: str, envelope: Envelope, attempts: int, due: datetime, error: str) -> None:
        """Set a message aside, unless it is parked or was taken already."""
        row = (
            consumer, envelope.source, parking_key(envelope), envelope.id, encode_envelope(envelope),
            attempts, timestamp(due), error, self._now(),
        )  # fmt: skip
        self._statement(_PARK, row)

    def repark(self, sequence: int, attempts: int, due: datetime, state: ParkedState, error: str) -> None:
        """Change the next attempt of a parked message."""
        self._statement(_REPARK, (attempts, timestamp(due), state.value, error, sequence))

    def bury(self, consumer: str, message_id: str) -> None:
        """Make a parked message a dead letter."""
        self._statement(_BURY, (consumer, message_id))

    def rename_consumer(self, before: str, after: str) -> None:
        """Hand marks and parked messages of one consumer to another."""
        for table in ("insula_inbox", "insula_parked"):
            self._statement(f"update {table} set consumer = ? where consumer = ? -- insula", (after, before))

    def unpark(self, sequence: int) -> None:
        """Forget a parked message."""
        self._statement("delete from insula_parked where sequence = ? -- insula", (sequence,))

    def save_cursor(self, name: str, position: int) -> None:
        """Remember a position."""
        self._statement(_CURSOR, (name, position))

    def begin_cursor(self, name: str, position: int) -> None:
        """Remember a position, unless there is one of that name."""
        self._statement(_NEW_CURSOR, (name, position))

    def save_timers(self, timers: Sequence[Timer]) -> None:
        """Insert or replace timers."""
        for timer in timers:
            row = (timer.identifier, timestamp(timer.due), timer.schedule, encode_envelope(timer.envelope))
            self._statement(_TIMER, row)

    def remove_timers(self, identifiers: Collection[str]) -> None:
        """Delete timers."""
        for identifier in identifiers:
            self._statement("delete from insula_timer where identifier = ? -- insula", (identifier,))


def timestamp(moment: datetime) -> str:
    """UTC text of fixed width, so that text order is time order."""
    return moment.isoformat(timespec="microseconds")


def envelope_of(row: Any, source: str) -> Envelope:
    """A row of `LOG_COLUMNS` as an envelope."""
    position, message_id, kind, type_, version, key, headers, data, time = row
    known = decode_headers(headers)
    return Envelope(
        id=message_id, source=source, type=type_, kind=kind, version=version, subject=key,
        time=datetime.fromisoformat(time), data=data.encode(), correlation_id=known.correlation_id,
        causation_id=known.causation_id, traceparent=known.traceparent, caller=known.caller,
        position=position, expires_at=known.expires_at,
    )  # fmt: skip


def parked_of(row: Any) -> Parked:
    """A row of `insula_parked`, without its message id column, as a value."""
    sequence, consumer, source, key, _message_id, envelope, attempts, due, state, error, since = row
    return Parked(
        sequence, consumer, source, key, decode_envelope(envelope), attempts, datetime.fromisoformat(due),
        ParkedState(state), error, datetime.fromisoformat(since),
    )  # fmt: skip


def timer_of(row: Any) -> Timer:
    """A row of `insula_timer` as a value."""
    identifier, due, schedule, envelope = row
    return Timer(identifier, datetime.fromisoformat(due), decode_envelope(envelope), schedule)


def answer_of(row: Any) -> Answer:
    """A row (outcome, answer, fingerprint) as a value."""
    outcome, body, fingerprint = row
    return Answer(Outcome(outcome), body.encode(), fingerprint)
